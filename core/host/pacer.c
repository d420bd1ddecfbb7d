#include "host/pacer.h"

#include "base/clock.h"
#include "host/conn.h"

#define RATE_TICK_NS (5 * NS_PER_MS)

/* Refills what --rate allows, and no more than a few ticks' worth: a pause is no credit. */
static void refill(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, rate_timer);
	const int64_t rate = (int64_t)(w->server->options.rate / w->server->options.workers);
	const int64_t most = rate * 4 * RATE_TICK_NS / NS_PER_S + 1;
	const int64_t passed = w->loop.now_ns - w->refilled_ns;

	w->refilled_ns = w->loop.now_ns;
	w->allowance += passed > NS_PER_S ? most : rate * passed / NS_PER_S;
	if (w->allowance > most)
		w->allowance = most;
	if (w->allowance > 0) {
		list_move_all(&w->throttled, &w->runnable);
		loop_again(&w->loop);
	}
	if (!list_empty(&w->throttled))
		loop_timer_set(&w->loop, t, w->loop.now_ns + RATE_TICK_NS);
}

int64_t pacer_may_send(struct conn *c, int64_t share)
{
	struct worker *w = c->worker;

	if (w->server->options.rate == 0 || share == 0)
		return share;
	return w->allowance <= 0 ? 0 : w->allowance < share ? w->allowance : share;
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
