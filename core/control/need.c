/*
 * Theory. Sizes follow use, Q (control/orchestrator.c).
 *
 * Growing. The headroom h is what can flow in during two looks of the guard at the fastest
 * rate seen lately. When half of it is gone the guard grows the space to Q + h at once: late by one
 * look, it still does not block. Where looks have been late, h allows for as late a one.
 *
 * Shrinking. To shrink too early costs two resizes, too late costs memory: the ski-rental problem.
 * Idle room (size - Q - h) is summed over time since the space last needed it, and it is given
 * back when that sum reaches what half a headroom costs over shrink_hold periods. Large surplus
 * goes within a second, small surplus stays, and a load that repeats itself causes no resizes.
 *
 * Trust. Sizes follow only what the host sees. The guest's records tell late from memory-late,
 * raise alarms and move eps (the failure rate of headroom without guard) within fixed bounds; they
 * buy no memory under a budget.
 */
#include "control/need.h"

#include <math.h>

#define STALL_FACTOR_MAX 1024
#define BUSY		 0.85
#define GUARD_LOW	 0.4 /* of the headroom; the guard grows when less is left */

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static double clip(double x, double low, double high)
{
	return fmin(high, fmax(low, x));
}

void need_init(struct control_space *space, const struct control_wish *wish)
{
	space->wish = *wish;
	space->stall_factor = 1;
	estimator_init(&space->est);
	slo_init(&space->slo);
	record_credit_init(&space->credit);
}

static void take_records(struct control_space *space, uint64_t now_ns,
			 const struct control_facts *facts)
{
	record_credit_earn(&space->credit, facts->completed);
	for (size_t i = 0; i < facts->nrecords; i++) {
		struct job_record record = facts->record[i];
		enum record_verdict verdict = record_check(&space->credit, &record, (int64_t)now_ns,
							   space->wish.max_bytes);

		space->rejected[verdict] += verdict != RECORD_OK;
		if (verdict != RECORD_OK)
			continue;
		slo_count(&space->slo, &record);
		space->record_ns = now_ns;
	}
}

/* A space seen for the first time, or again, has been silent and well until now. */
static void meet(struct control_space *space, uint64_t now_ns)
{
	if (space->met)
		return;
	space->record_ns = space->cpu_well_ns = space->drain_well_ns = now_ns;
	space->met = true;
}

static void observe(const struct need_look *look, struct control_space *space,
		    const struct control_facts *facts)
{
	struct estimator_interval seen = {
		.dt_s = look->dt_s,
		.inflow_bytes = facts->inflow_bytes,
		.delivered_bytes = facts->delivered_bytes,
		.cpu_busy = facts->cpu_busy,
		.started = facts->started,
		.growing = facts->growing,
		.completed = facts->completed,
		.completed_bytes = facts->completed_bytes,
		.completed_bytes2 = facts->completed_bytes2,
	};

	estimator_observe(&space->est, &seen);
	space->delivered += (double)facts->delivered_bytes;
	if (facts->full && look->dt_s > 0)
		slo_full(&space->slo, look->now_ns - (uint64_t)(look->dt_s * 1e9), look->now_ns);
	take_records(space, look->now_ns, facts);
	space->full_in_period |= facts->full;
	if (facts->peak_bytes > space->peak_bytes)
		space->peak_bytes = facts->peak_bytes;
	if (facts->used_bytes > space->peak_bytes)
		space->peak_bytes = facts->used_bytes;
	if (facts->growing > space->most_growing)
		space->most_growing = facts->growing;
}

static void predict(struct control_space *space, const struct control_facts *facts)
{
	struct queue_prediction prediction;
	struct queue_load load;

	estimator_load(&space->est, &load);
	load.drain_bps = facts->drain_bps;
	load.client_bps = facts->client_bps;
	load.ttl_s = space->wish.ttl_s;
	load.punched = space->wish.punched;
	space->model_q95 = space->model_q99 = 0;
	if (!queue_predict(&load, &prediction)) {
		space->model_q95 = queue_quantile(&prediction, QUEUE_Z95);
		space->model_q99 = queue_quantile(&prediction, QUEUE_Z99);
	}
	space->rho_drain = prediction.rho;
	space->doubts = prediction.doubts;
	if (space->est.cpu_busy > BUSY)
		space->doubts |= QUEUE_BUSY_WORKERS;
}

static double slo_limit_s(const struct need_look *look, const struct control_space *space)
{
	return space->wish.slo_ns ? look->tuning->slo_margin * seconds(space->wish.slo_ns)
				  : INFINITY;
}

bool need_guest_stale(const struct need_look *look, const struct control_space *space)
{
	return look->now_ns - space->record_ns > look->tuning->stale_ns;
}

/* Late without want of memory, on a busy CPU; more written than a busy drain delivers. */
static void look_for_overload(struct control_space *space, uint64_t now_ns,
			      const struct control_facts *facts)
{
	const struct slo_report *report = &space->report;
	double excess = report->late - report->memory_late - (1 - space->wish.slo_share);

	if (report->jobs < 10 || excess <= 0 || (facts->cpu_busy > 0 && space->est.cpu_busy < BUSY))
		space->cpu_well_ns = now_ns;
	if (space->rho_drain < 1 || space->est.drained_20s < BUSY * facts->drain_bps)
		space->drain_well_ns = now_ns;
}

/* Once a period: predict, compare with what came, and let the objective move eps. */
static void learn(const struct need_look *look, struct control_space *space,
		  const struct control_facts *facts)
{
	double limit_s = slo_limit_s(look, space), allowed = 1 - space->wish.slo_share;
	double grown = (double)space->peak_bytes - (double)space->used_before_bytes;
	uint64_t rejected = 0;

	predict(space, facts);
	estimator_period(&space->est, space->peak_bytes, space->model_q95);
	slo_report(&space->slo, look->now_ns, look->tuning->slo_window_ns, limit_s,
		   space->wish.slo_share, &space->report);
	look_for_overload(space, look->now_ns, facts);
	estimator_track(&space->est,
			space->full_in_period || grown > (double)space->headroom_before_bytes);
	if (need_guest_stale(look, space))
		estimator_forget_slo(&space->est);
	else if (space->report.jobs && space->report.p95_s > 0)
		estimator_slo(&space->est, space->report.memory_late, allowed,
			      log(limit_s / space->report.p95_s));
	for (int i = 0; i < RECORD_NVERDICTS; i++)
		rejected += space->rejected[i];
	space->rejecting = rejected > space->rejected_before;
	space->rejected_before = rejected;
	space->peak_bytes = 0;
	space->full_in_period = false;
	space->used_before_bytes = facts->used_bytes;
	space->most_growing = facts->growing;
}

static bool stalled(const struct control_facts *facts)
{
	return facts->full && !facts->freed_bytes && !facts->deliverable && facts->growing;
}

static double headroom(const struct need_look *look, struct control_space *space,
		       const struct control_facts *facts)
{
	const struct control_tuning *t = look->tuning;
	double least = (double)t->headroom_min_bytes, room;

	if (stalled(facts)) {
		space->stalled_ticks++;
		space->stall_factor = fmin(2 * space->stall_factor, STALL_FACTOR_MAX);
	} else {
		space->stalled_ticks = 0;
		space->stall_factor = 1;
	}
	if (t->guard_ns)
		room = estimator_guarded_headroom(&space->est, look->apart_s, t->headroom_factor,
						  least);
	else
		room = estimator_blind_headroom(&space->est, seconds(t->period_ns),
						t->headroom_factor, least);
	return room * space->stall_factor;
}

/* The shrink law: rent idle room until it has cost as much as half a headroom held for a while. */
static bool idle_too_long(const struct need_look *look, struct control_space *space, double surplus)
{
	double price =
		space->headroom / 2 * look->tuning->shrink_hold * seconds(look->tuning->period_ns);

	space->idle = surplus > 0 ? space->idle + surplus * look->dt_s : 0;
	return space->idle > price;
}

static void want(const struct need_look *look, struct control_space *space,
		 const struct control_facts *facts)
{
	double size = (double)facts->size_bytes, used = (double)facts->used_bytes;
	double min = (double)space->wish.min_bytes, max = (double)space->wish.max_bytes;
	bool guarded = look->tuning->guard_ns > 0;

	space->headroom = headroom(look, space, facts);
	space->need = fmax(used, clip(used + space->headroom, min, max));
	space->want = size;
	space->reason = CONTROL_HOLD;
	if (size < min ||
	    (guarded && size - used < GUARD_LOW * space->headroom && size < space->need) ||
	    (!guarded && size < space->need)) {
		space->want = space->need;
		space->reason = look->period ? CONTROL_GROW : CONTROL_GUARD;
		if (space->stall_factor > 1)
			space->reason = CONTROL_STALL;
		space->idle = 0;
	} else if (idle_too_long(look, space, size - space->need)) {
		space->want = space->need;
		space->reason = CONTROL_SHRINK;
		space->idle = 0;
	}
	/* Within the band, what it has is enough: growing costs others memory. */
	space->need = fmin(space->need, fmax(space->want, used));
}

void need_look(const struct need_look *look, struct control_space *space,
	       const struct control_facts *facts)
{
	meet(space, look->now_ns);
	observe(look, space, facts);
	if (look->period)
		learn(look, space, facts);
	want(look, space, facts);
}

unsigned int need_alarms(const struct need_look *look, const struct control_space *space,
			 const struct control_facts *facts)
{
	unsigned int alarms = 0;

	if (look->now_ns - space->cpu_well_ns > look->tuning->slo_window_ns)
		alarms |= CONTROL_CPU_BOUND;
	if (look->now_ns - space->drain_well_ns > look->tuning->slo_window_ns)
		alarms |= CONTROL_DRAIN_OVERLOAD;
	if (space->stalled_ticks >= 2)
		alarms |= CONTROL_DEADLOCK;
	if (stalled(facts) && facts->growing == 1 && facts->size_bytes >= space->wish.max_bytes)
		alarms |= CONTROL_OBJECT_TOO_BIG;
	return alarms;
}
