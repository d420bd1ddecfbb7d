#include "host/pacer.h"

#include "base/clock.h"
#include "host/conn.h"

#define RATE_TICK_NS (5 * NS_PER_MS)

/*
 * What a worker may send after `passed` more. No more than a few ticks' worth: a pause is no
 * credit, and what was sent while there was no limit is no debt.
 */
static int64_t refilled(const struct worker *w, int64_t allowance, uint64_t rate, int64_t passed_ns)
{
	const int64_t longest = 4 * RATE_TICK_NS;
	const int64_t share = (int64_t)(rate / w->server->options.workers);
	const int64_t most = share * longest / NS_PER_S + 1;

	if (allowance < -most)
		allowance = -most;
	allowance += share * (passed_ns < longest ? passed_ns : longest) / NS_PER_S;
	return allowance < most ? allowance : most;
}

static void refill(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, rate_timer);
	struct limits *limits = &w->server->limits;
	const int64_t passed = w->loop.now_ns - w->refilled_ns;

	w->refilled_ns = w->loop.now_ns;
	w->allowance = refilled(w, w->allowance, limits_total(limits), passed);
	for (size_t i = 0; i < w->sites.count; i++) {
		struct site *site = &w->sites.site[i];

		site->allowance = refilled(w, site->allowance, limits_space(limits, i), passed);
	}
	if (w->allowance > 0 || !limits_total(limits)) {
		list_move_all(&w->throttled, &w->runnable);
		loop_again(&w->loop);
	}
	if (!list_empty(&w->throttled))
		loop_timer_set(&w->loop, t, w->loop.now_ns + RATE_TICK_NS);
}

int64_t pacer_may_send(struct conn *c, int64_t share)
{
	struct worker *w = c->worker;
	struct site *site = c->object->site;
	struct limits *limits = &w->server->limits;

	if (limits_total(limits) && w->allowance < share)
		share = w->allowance;
	if (limits_space(limits, (size_t)(site - w->sites.site)) && site->allowance < share)
		share = site->allowance;
	return share > 0 ? share : 0;
}

enum step pacer_wait(struct conn *c, int64_t share)
{
	struct worker *w = c->worker;

	if (!list_empty(&c->runnable))
		list_remove(&c->runnable);
	list_append(share > 0 ? &w->throttled : &w->runnable, &c->runnable);
	if (share > 0 && !w->rate_timer.slot)
		loop_timer_set(&w->loop, &w->rate_timer, w->loop.now_ns + RATE_TICK_NS);
	return STEP_WAIT;
}

void pacer_run(struct worker *w)
{
	struct list round, *l;

	list_init(&round);
	list_move_all(&w->runnable, &round);
	while ((l = list_first(&round)) != NULL) {
		list_remove(l);
		conn_run(list_entry(l, struct conn, runnable));
	}
	if (!list_empty(&w->runnable))
		loop_again(&w->loop);
}

void pacer_init(struct worker *w)
{
	list_init(&w->runnable);
	list_init(&w->throttled);
	w->rate_timer.fire = refill;
}
