#include "control/tuner.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "control/tuner_host.h"
#include "space/layout.h"
#include "space/pool.h"

/* A loop that has just died may leave its watchdog at work for a moment. */
#define LOCK_WAIT_NS NS_PER_S

/* How long a pool may be held that a space is in: at the end; and while others are to be looked at.
 */
#define POOL_WAIT_NS	   (5 * NS_PER_S)
#define POOL_WAIT_SHORT_NS (100 * NS_PER_MS)

size_t tuner_find(const struct tuner *from, const struct space_name *name)
{
	size_t i = 0;

	for (; i < from->config->nspaces; i++) {
		const struct space_name *other = &from->config->space[i].name;

		if (strcmp(other->vm, name->vm) == 0 && strcmp(other->space, name->space) == 0)
			break;
	}
	return i;
}

/* ---- the safe sizes ---- */

static uint64_t failsafe_size(const struct tuner_wish *wish, const struct control_facts *facts,
			      uint64_t automatic_bytes)
{
	uint64_t size = wish->failsafe_bytes;

	if (facts->absent || wish->failsafe == TUNER_FAILSAFE_OFF)
		return 0;
	if (wish->failsafe != TUNER_FAILSAFE_SIZE)
		return automatic_bytes;
	return size > facts->used_bytes ? size : facts->used_bytes;
}

/* What is not up to the controller: the others share what that leaves of the budget. */
static uint64_t fixed_size(const struct tuner_wish *wish, const struct control_facts *facts)
{
	if (wish->failsafe == TUNER_FAILSAFE_OFF)
		return facts->size_bytes;
	return wish->failsafe == TUNER_FAILSAFE_SIZE ? wish->failsafe_bytes : 0;
}

static void fill_rows(struct tuner *t)
{
	uint64_t size[TUNER_SPACES_MAX];

	for (size_t i = 0; i < t->config->nspaces; i++)
		size[i] = fixed_size(&t->config->space[i], &t->facts[i]);
	control_failsafe(&t->control, t->facts, size);
	for (size_t i = 0; i < t->config->nspaces; i++)
		t->row[i] = (struct watchdog_row){
			t->space[i].profiler.place.info.device,
			failsafe_size(&t->config->space[i], &t->facts[i], size[i])};
}

unsigned int tuner_failsafe(struct tuner *t)
{
	if (t->dry_run || !t->control.started)
		return 0;
	fill_rows(t);
	return watchdog_apply(t->runtime_dir, t->place, t->row, t->config->nspaces,
			      t->config->tuning.budget_bytes, POOL_WAIT_NS);
}

/* Those that have not moved over to another tuner: nobody looks at them from now on. */
static void leave_safe(struct tuner *t)
{
	if (t->dry_run)
		return;
	fill_rows(t);
	for (size_t i = 0; i < t->config->nspaces; i++) {
		if (t->space[i].lockfd < 0)
			t->row[i].size_bytes = 0;
	}
	watchdog_apply(t->runtime_dir, t->place, t->row, t->config->nspaces,
		       t->config->tuning.budget_bytes, POOL_WAIT_SHORT_NS);
}

/* ---- one tick ---- */

static int resize(void *cookie, size_t i, uint64_t *size_bytes)
{
	struct tuner *t = cookie;
	struct tuner_space *s = &t->space[i];

	if (t->dry_run) {
		s->virtual_bytes = *size_bytes;
		return 0;
	}
	return place_resize(t->runtime_dir, &s->profiler.place, size_bytes, 0);
}

/* A dry run goes on from the sizes that it would have set. */
static void imagine(const struct tuner_space *s, struct control_facts *facts)
{
	if (facts->absent || !s->virtual_bytes)
		return;
	facts->size_bytes =
		s->virtual_bytes > facts->used_bytes ? s->virtual_bytes : facts->used_bytes;
	facts->full = facts->size_bytes - facts->used_bytes < SPACE_PIECE;
}

static void look(struct tuner *t, int64_t now_ns)
{
	double dt_s = t->last_ns ? (double)(now_ns - t->last_ns) / 1e9 : 0;

	for (size_t i = 0; i < t->config->nspaces; i++) {
		struct tuner_space *s = &t->space[i];
		struct control_facts *facts = &t->facts[i];

		streaming_look(t, i, dt_s);
		profiler_look(&s->profiler, now_ns, &s->hints, &t->scratch, facts);
		imagine(s, facts);
		if (facts->peak_bytes > s->peak_bytes)
			s->peak_bytes = facts->peak_bytes;
		s->in_bytes += facts->inflow_bytes;
		s->out_bytes += facts->delivered_bytes;
		s->in_total += facts->inflow_bytes;
		s->out_total += facts->delivered_bytes;
		s->records += facts->nrecords;
	}
}

static double rate(uint64_t bytes, int64_t ns)
{
	return ns > 0 ? (double)bytes * 1e9 / (double)ns : 0;
}

static void tell(struct tuner *t, size_t i, uint64_t from_bytes, bool period, int64_t now_ns)
{
	struct tuner_space *s = &t->space[i];
	const struct tuner_decision d = {
		.wish = &t->config->space[i],
		.facts = &t->facts[i],
		.order = &t->order[i],
		.vm = &t->vm[s->vm],
		.counted_s = (double)(now_ns - t->vm[s->vm].since_ns) / 1e9,
		.lent_bps = (double)s->streaming.lent_bps,
		.from_bytes = from_bytes,
		.peak_bytes = s->peak_bytes,
		.in_bps = rate(s->in_bytes, now_ns - s->since_ns),
		.out_bps = rate(s->out_bytes, now_ns - s->since_ns),
		.nonsense = s->profiler.intake.nonsense,
		.period = period,
		.counterfactual = t->counterfactual,
	};
	bool acted = from_bytes != t->facts[i].size_bytes;
	bool refused = d.order->reason == CONTROL_REFUSED && s->reason != CONTROL_REFUSED;

	if (t->decided && (period || acted || refused))
		t->decided(t, &d);
	s->reason = d.order->reason;
	s->resizes += acted;
	t->counterfactual |= t->dry_run && acted;
	if (!period)
		return;
	s->peak_bytes = s->in_bytes = s->out_bytes = 0;
	s->since_ns = now_ns;
}

static void alarm_new(struct tuner *t, size_t i)
{
	const struct space_name *name = &t->config->space[i].name;
	unsigned int now = t->order[i].alarms, fresh = now & ~t->space[i].alarms;

	for (int bit = 0; bit < CONTROL_NALARMS; bit++) {
		if (fresh & (1u << bit))
			log_warn("%s/%s: %s", name->vm, name->space, control_alarm_text(1u << bit));
	}
	t->space[i].alarms = now;
}

static void act(struct tuner *t, int64_t now_ns, bool period)
{
	uint64_t from[TUNER_SPACES_MAX];

	for (size_t i = 0; i < t->config->nspaces; i++)
		from[i] = t->facts[i].size_bytes;
	control_apply(&t->control, t->facts, t->order, resize, t);
	for (size_t i = 0; i < t->config->nspaces; i++) {
		if (t->facts[i].absent)
			continue;
		tell(t, i, from[i], period, now_ns);
		if (period)
			alarm_new(t, i);
	}
}

static void pace_all(struct tuner *t, int64_t now_ns, bool period)
{
	double dt_s = t->last_ns ? (double)(now_ns - t->last_ns) / 1e9 : 0;
	int64_t valid_ns = 3 * (int64_t)t->config->tuning.period_ns;

	for (size_t i = 0; i < t->config->nspaces; i++) {
		struct tuner_space *s = &t->space[i];

		if (t->facts[i].absent)
			continue;
		pacing_tell(&s->pacing, &s->profiler.place, &t->facts[i], &t->order[i], dt_s,
			    period, valid_ns);
		s->streaming.short_of_room |= s->pacing.pace.level > 0;
	}
}

/* ---- the watchdog ---- */

/* By what was seen last. */
static void tell_watchdog(struct tuner *t)
{
	fill_rows(t);
	watchdog_tell(&t->watchdog, t->row, t->config->tuning.budget_bytes);
}

static int start_watchdog(struct tuner *t, struct mn_error *e)
{
	for (size_t i = 0; i < t->config->nspaces; i++) {
		t->place[i] = &t->space[i].profiler.place;
		t->lockfd[i] = t->space[i].lockfd;
	}
	if (t->dry_run)
		return 0;
	return watchdog_start(&t->watchdog, t->runtime_dir, t->place, t->lockfd, t->config->nspaces,
			      e);
}

/* Without one the loop goes on, and tries again. */
static void mind_watchdog(struct tuner *t)
{
	struct mn_error e = MN_ERROR_INIT;

	if (t->watchdog.table && !watchdog_died(&t->watchdog))
		return;
	if (t->watchdog.table)
		log_warn("the watchdog died: another one is started");
	watchdog_stop(&t->watchdog);
	if (start_watchdog(t, &e) && !t->unwatched)
		log_error("%s: sizes are not safe if the loop dies", e.text);
	t->unwatched = !t->watchdog.table;
}

/* ---- a look, and what follows ---- */

static void look_and_act(struct tuner *t)
{
	int64_t now = t->loop->now_ns;
	bool period;

	t->asking = false;
	loop_timer_clear(t->loop, &t->late);
	look(t, now);
	if (t->looked)
		t->looked(t, now);
	period = control_tick(&t->control, (uint64_t)now, t->facts, t->order);
	if (period)
		tuner_host_count(t);
	act(t, now, period);
	if (!t->dry_run)
		pace_all(t, now, period);
	if (period)
		streaming_lend(t);
	t->last_ns = now;
	t->periods += period;
	if (period)
		tuner_host_look(t, now);
	if (period)
		streaming_find(t);
	if (period && !t->dry_run) {
		mind_watchdog(t);
		tell_watchdog(t);
	}
	if (t->ticked)
		t->ticked(t, period);
	if (t->once && t->periods > 1)
		loop_stop(t->loop);
}

/* ---- the streams' word, waited for so that it is of the moment of the look ---- */

static void answered(struct tuner *t)
{
	if (t->asking && !streaming_waiting(t))
		look_and_act(t);
}

static void answers_late(struct timer *timer)
{
	look_and_act(container_of(timer, struct tuner, late));
}

static int64_t step_ns(const struct tuner *t)
{
	const struct control_tuning *tuning = &t->config->tuning;

	return (int64_t)(tuning->guard_ns ? tuning->guard_ns : tuning->period_ns);
}

/* The next look may be one of a slower clock. */
static void look_in_time(struct tuner *t)
{
	int64_t at = t->last_ns + step_ns(t);

	if (at < t->timer.at_ns)
		loop_timer_set(t->loop, &t->timer, at);
}

static void tick(struct timer *timer)
{
	struct tuner *t = container_of(timer, struct tuner, timer);
	int64_t step = step_ns(t), now = t->loop->now_ns, next = timer->at_ns + step;

	loop_timer_set(t->loop, timer, next > now ? next : now + step);
	if (t->asking)
		return;
	streaming_ask(t);
	if (!streaming_waiting(t)) {
		look_and_act(t);
		return;
	}
	t->asking = true;
	loop_timer_set(t->loop, &t->late, now + TUNER_ANSWER_NS);
}

/* ---- begin and end ---- */

/* '@' is in no name, so this is no pool's lock. */
static int lock_space(const char *runtime_dir, const struct space_name *name, struct mn_error *e)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/.lock/%s@%s", runtime_dir, name->vm, name->space);
	int fd;

	if (n < 0 || (size_t)n >= sizeof(path))
		return mn_fail_errno(e, ENAMETOOLONG, "%.64s", runtime_dir);
	fd = lock_acquire(path, LOCK_WAIT_NS, e);
	if (fd == -EBUSY)
		mn_fail(e, MN_BUSY, EBUSY,
			"%s/%s: another memnet tune sizes it (stop that one, or leave it "
			"out here)",
			name->vm, name->space);
	else if (fd == -EACCES)
		mn_fail(e, MN_FAILED, EACCES, "%s: %s (run as root)", path, strerror(EACCES));
	return fd;
}

static int take_arrays(struct tuner *t, size_t n)
{
	t->space = calloc(n, sizeof(*t->space));
	t->facts = calloc(n, sizeof(*t->facts));
	t->order = calloc(n, sizeof(*t->order));
	t->row = calloc(n, sizeof(*t->row));
	t->place = calloc(n, sizeof(struct place *));
	t->lockfd = calloc(n, sizeof(*t->lockfd));
	t->stream = calloc(t->config->nstreams + 1, sizeof(*t->stream));
	t->streams = calloc(1, sizeof(*t->streams));
	t->connections = calloc(t->config->nstreams + 1, sizeof(*t->connections));
	t->vm = calloc(n, sizeof(*t->vm));
	if (!t->space || !t->facts || !t->order || !t->row || !t->place || !t->lockfd ||
	    !t->stream || !t->streams || !t->connections || !t->vm)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		t->space[i].lockfd = -1;
		t->space[i].profiler.activity.fd = -1;
		t->facts[i].absent = true; /* nobody has looked */
	}
	return 0;
}

static int open_space(struct tuner *t, size_t i, struct mn_error *e)
{
	const struct space_name *name = &t->config->space[i].name;
	struct tuner_space *s = &t->space[i];
	int err = profiler_init(&s->profiler, t->runtime_dir, name, t->dry_run);

	if (err)
		return mn_fail_errno(e, -err, "%s/%s", name->vm, name->space);
	s->since_ns = t->loop->now_ns;
	if (!t->dry_run)
		s->lockfd = lock_space(t->runtime_dir, name, e);
	return t->dry_run || s->lockfd >= 0 ? 0 : s->lockfd;
}

static int init_control(struct tuner *t, struct mn_error *e)
{
	struct control_wish wish[TUNER_SPACES_MAX];
	int err;

	for (size_t i = 0; i < t->config->nspaces; i++)
		wish[i] = t->config->space[i].wish;
	err = control_init(&t->control, &t->config->tuning, wish, t->config->nspaces);
	if (err == -EINVAL)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "impossible settings: is a budget given for more than one space, "
			       "and above the sum of the minima?");
	return err ? mn_fail_errno(e, -err, "controller") : 0;
}

/* Opens the spaces that `from` (NULL: nobody) does not have. */
static int open_spaces(struct tuner *t, const struct tuner *from, struct mn_error *e)
{
	int err = t->dry_run ? 0 : pool_runtime_make(t->runtime_dir, e);

	for (size_t i = 0; !err && i < t->config->nspaces; i++) {
		if (!from || tuner_find(from, &t->config->space[i].name) == from->config->nspaces)
			err = open_space(t, i, e);
	}
	return err;
}

/* All but the watchdog and the clock; for a new configuration, beside the tuner that has the old.
 */
static int prepare(struct tuner *t, const struct tuner *from, struct mn_error *e)
{
	int err = take_arrays(t, t->config->nspaces);

	if (err)
		return mn_fail_errno(e, -err, "controller");
	err = init_control(t, e);
	if (!err)
		err = streaming_open(t, e);
	if (!err)
		err = open_spaces(t, from, e);
	if (!err && !from)
		err = power_open(&t->power, &t->config->energy, e);
	if (!err)
		tuner_host_open(t);
	return err;
}

static void dispose(struct tuner *t)
{
	for (size_t i = 0; t->space && i < t->config->nspaces; i++) {
		struct tuner_space *s = &t->space[i];

		profiler_close(&s->profiler);
		if (s->lockfd < 0)
			continue;
		pacing_end(&s->profiler.place);
		close(s->lockfd);
	}
	streaming_close(t);
	tuner_host_close(t);
	control_close(&t->control);
	free(t->connections);
	free(t->vm);
	free(t->space);
	free(t->facts);
	free(t->order);
	free(t->row);
	free(t->place);
	free(t->lockfd);
}

int tuner_open(struct tuner *t, struct loop *loop, const char *runtime_dir,
	       const struct tuner_config *config, bool dry_run, struct mn_error *e)
{
	int err;

	t->loop = loop;
	t->runtime_dir = runtime_dir;
	t->config = config;
	t->dry_run = dry_run;
	t->timer.fire = tick;
	t->late.fire = answers_late;
	t->answered = answered;
	t->watchdog.pipefd = -1;
	err = prepare(t, NULL, e);
	if (!err)
		err = start_watchdog(t, e);
	if (!err)
		err = loop_timer_set(loop, &t->timer, clock_ns());
	return err;
}

/* Spaces that stay move over, with their locks and what was learned of them. */
static void inherit(struct tuner *t, struct tuner *from)
{
	for (size_t i = 0; i < t->config->nspaces; i++) {
		size_t j = tuner_find(from, &t->config->space[i].name), vm = t->space[i].vm;

		if (j == from->config->nspaces)
			continue;
		t->space[i] = from->space[j];
		t->space[i].vm = vm;
		t->facts[i] = from->facts[j];
		t->facts[i].record = NULL; /* they are taken */
		t->facts[i].nrecords = 0;
		t->order[i] = from->order[j];
		from->space[j].lockfd = -1;
		from->space[j].profiler.activity.fd = -1;
		control_adopt(&t->control, i, &from->control, j);
	}
	tuner_host_inherit(t, from);
}

int tuner_reopen(struct tuner *t, const struct tuner_config *config, struct mn_error *e)
{
	struct tuner old = *t, fresh = {.loop = t->loop,
					.runtime_dir = t->runtime_dir,
					.config = config,
					.dry_run = t->dry_run};
	int err = prepare(&fresh, t, e);

	if (err) {
		dispose(&fresh);
		return err;
	}
	inherit(&fresh, &old);
	leave_safe(&old);
	watchdog_stop(&t->watchdog);
	t->config = config;
	t->control = fresh.control;
	t->space = fresh.space;
	t->facts = fresh.facts;
	t->order = fresh.order;
	t->row = fresh.row;
	t->place = fresh.place;
	t->lockfd = fresh.lockfd;
	t->stream = fresh.stream;
	t->named = fresh.named;
	t->connections = fresh.connections;
	t->vm = fresh.vm;
	t->nvms = fresh.nvms;
	t->times = fresh.times;
	t->uplink = fresh.uplink;
	t->memory = fresh.memory;
	t->streams = fresh.streams;
	streaming_move(t);
	t->asking = false;
	loop_timer_clear(t->loop, &t->late);
	old.power.meter = NULL; /* counts on */
	dispose(&old);
	/* Without a watchdog the loop is still better than none. */
	if (start_watchdog(t, e))
		log_error("%s", e->text);
	tell_watchdog(t);
	look_in_time(t);
	return 0;
}

void tuner_close(struct tuner *t)
{
	watchdog_stop(&t->watchdog);
	loop_timer_clear(t->loop, &t->timer);
	loop_timer_clear(t->loop, &t->late);
	dispose(t);
}
