/*
 * Theory. A space that is too small blocks its VM; one that is too large starves the others. What
 * the space holds (Q) moves fast: whole objects leave at once, and new ones fill in seconds. No
 * model foresees that as well as looking often does, and a look and a resize cost microseconds.
 * So sizes follow use, and the model serves where nobody looks (no guard, fail-safe, cold start).
 *
 * Growing. The headroom h is what can flow in during two looks of the guard at the fastest rate
 * seen lately. When half of it is gone the guard grows the space to Q + h at once: late by one
 * look, it still does not block. Where looks have been late, h allows for as late a one.
 *
 * Shrinking. To shrink too early costs two resizes, too late costs memory: the ski-rental problem.
 * Idle room (size - Q - h) is summed over time since the space last needed it, and it is given
 * back when that sum reaches what half a headroom costs over shrink_hold periods. Large surplus
 * goes within a second, small surplus stays, and a load that repeats itself causes no resizes.
 *
 * A budget. Everybody gets what he needs while it suffices. If not, slack goes first; then see
 * budget.c. Nobody may borrow more above his entitlement than his drain pays back in time, so one
 * who delivers nothing cannot hoard. A space that gets less than half of what it lacks is to write
 * fewer objects at once, for half-written objects free nothing. One that is full of them would
 * stand still for ever: it gets all that is left, reserve included, and other such spaces start
 * nothing until it moves.
 *
 * Trust. Sizes follow only what the host sees. The guest's records tell late from memory-late,
 * raise alarms and move eps (the failure rate of headroom without guard) within fixed bounds; they
 * buy no memory under a budget.
 */
#include "control/orchestrator.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control/budget.h"
#include "control/slo.h"

#define SECOND_NS	 UINT64_C(1000000000)
#define GRAIN_BYTES	 65536
#define STALL_FACTOR_MAX 1024
#define BUSY		 0.85
#define LOOKS_REMEMBERED 100 /* how many it takes to forget a late one */
#define LOOK_MAX	 4   /* guard intervals; what a suspended host tells of more is nothing */
#define GUARD_LOW	 0.4 /* of the headroom; the guard grows when less is left */

struct control_space {
	struct control_wish wish;
	struct estimator est;
	struct slo_watch slo;
	struct slo_report report;
	struct record_credit credit;
	uint64_t rejected[RECORD_NVERDICTS], rejected_before;
	uint64_t cpu_well_ns, drain_well_ns; /* when last neither was overloaded */
	uint64_t record_ns;		     /* when the last good record came */
	uint64_t peak_bytes;		     /* since the last period */
	uint64_t headroom_before_bytes, used_before_bytes;
	bool met, full_in_period, rejecting;
	double idle; /* byte-seconds since the room was last needed */
	double stall_factor;
	unsigned int stalled_ticks, most_growing;
	double model_q95, model_q99, rho_drain;
	unsigned int doubts;
	/* of the present tick */
	double headroom, need, want;
	enum control_reason reason;
};

static const char *const reason_names[] = {
	"hold", "grow", "shrink", "guard", "stall", "budget", "failsafe", "refused",
};
static_assert(sizeof(reason_names) / sizeof(*reason_names) == CONTROL_NREASONS, "one name each");

const char *control_reason_name(enum control_reason reason)
{
	return (unsigned int)reason < CONTROL_NREASONS ? reason_names[reason] : "unknown";
}

const char *control_alarm_text(unsigned int alarm)
{
	switch (alarm) {
	case CONTROL_CPU_BOUND: return "SLO unattainable: the VM is CPU-bound";
	case CONTROL_DRAIN_OVERLOAD: return "drain overload: more is written than is delivered";
	case CONTROL_DEADLOCK: return "space deadlocked: full of half-written objects";
	case CONTROL_OBJECT_TOO_BIG: return "object larger than max";
	case CONTROL_PAYBACK: return "payback limit: drains too slowly to borrow more";
	case CONTROL_OVERCOMMITTED: return "use and minima exceed the budget";
	default: return "unknown";
	}
}

struct control_tuning control_tuning_default(void)
{
	return (struct control_tuning){
		.period_ns = 2 * SECOND_NS,
		.guard_ns = SECOND_NS / 5,
		.reserve = 0.02,
		.slo_margin = 0.85,
		.slo_window_ns = 30 * SECOND_NS,
		.shrink_hold = 4,
		.headroom_min_bytes = 8000000,
		.headroom_factor = 1.25,
		.payback_ns = 120 * SECOND_NS,
		.stale_ns = 30 * SECOND_NS,
		.failsafe_ns = 15 * SECOND_NS,
	};
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static bool tuning_valid(const struct control_tuning *t, size_t nspaces)
{
	return t->period_ns && t->guard_ns <= t->period_ns && t->reserve >= 0 && t->reserve < 1 &&
	       t->slo_margin > 0 && t->slo_margin <= 1 && t->slo_window_ns && t->shrink_hold > 0 &&
	       t->headroom_factor > 0 && (t->budget_bytes || nspaces <= 1);
}

static bool wish_valid(const struct control_wish *wish)
{
	return wish->min_bytes && wish->min_bytes <= wish->max_bytes && wish->weight > 0 &&
	       wish->slo_share > 0 && wish->slo_share < 1 && wish->ttl_s >= 0;
}

static double capacity(const struct control *control)
{
	return (1 - control->tuning.reserve) * (double)control->tuning.budget_bytes;
}

int control_init(struct control *control, const struct control_tuning *tuning,
		 const struct control_wish wishes[], size_t n)
{
	double minima = 0;

	memset(control, 0, sizeof(*control));
	if (!n || !tuning_valid(tuning, n))
		return -EINVAL;
	control->tuning = *tuning;
	for (size_t i = 0; i < n; i++) {
		if (!wish_valid(&wishes[i]))
			return -EINVAL;
		minima += (double)wishes[i].min_bytes;
	}
	if (tuning->budget_bytes && minima > capacity(control))
		return -EINVAL;
	control->space = calloc(n, sizeof(*control->space));
	control->claim = calloc(n, sizeof(*control->claim));
	if (!control->space || !control->claim)
		return -ENOMEM;
	control->nspaces = n;
	for (size_t i = 0; i < n; i++) {
		control->space[i].wish = wishes[i];
		control->space[i].stall_factor = 1;
		estimator_init(&control->space[i].est);
		slo_init(&control->space[i].slo);
		record_credit_init(&control->space[i].credit);
	}
	return 0;
}

void control_adopt(struct control *control, size_t i, const struct control *old, size_t j)
{
	struct control_wish wish = control->space[i].wish;

	control->space[i] = old->space[j];
	control->space[i].wish = wish;
	control->last_ns = old->last_ns;
	control->period_ns = old->period_ns;
	control->look_s = old->look_s;
	control->started = old->started;
}

void control_close(struct control *control)
{
	free(control->space);
	free(control->claim);
	memset(control, 0, sizeof(*control));
}

/* ---- what was seen ---- */

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

/* A space seen for the first time has been silent and well until now. */
static void meet(struct control_space *space, uint64_t now_ns)
{
	if (space->met)
		return;
	space->record_ns = space->cpu_well_ns = space->drain_well_ns = now_ns;
	space->met = true;
}

static void observe(struct control_space *space, uint64_t now_ns, double dt_s,
		    const struct control_facts *facts)
{
	struct estimator_interval seen = {
		.dt_s = dt_s,
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
	if (facts->full && dt_s > 0)
		slo_full(&space->slo, now_ns - (uint64_t)(dt_s * 1e9), now_ns);
	take_records(space, now_ns, facts);
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

static double slo_limit_s(const struct control *control, const struct control_space *space)
{
	return space->wish.slo_ns ? control->tuning.slo_margin * seconds(space->wish.slo_ns)
				  : INFINITY;
}

static bool guest_stale(const struct control *control, const struct control_space *space,
			uint64_t now_ns)
{
	return now_ns - space->record_ns > control->tuning.stale_ns;
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
static void learn(struct control *control, struct control_space *space, uint64_t now_ns,
		  const struct control_facts *facts)
{
	double limit_s = slo_limit_s(control, space), allowed = 1 - space->wish.slo_share;
	double grown = (double)space->peak_bytes - (double)space->used_before_bytes;
	uint64_t rejected = 0;

	predict(space, facts);
	estimator_period(&space->est, space->peak_bytes, space->model_q95);
	slo_report(&space->slo, now_ns, control->tuning.slo_window_ns, limit_s,
		   space->wish.slo_share, &space->report);
	look_for_overload(space, now_ns, facts);
	estimator_track(&space->est,
			space->full_in_period || grown > (double)space->headroom_before_bytes);
	if (guest_stale(control, space, now_ns))
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

/* ---- what one space needs ---- */

static double clip(double x, double low, double high)
{
	return fmin(high, fmax(low, x));
}

static bool stalled(const struct control_facts *facts)
{
	return facts->full && !facts->freed_bytes && !facts->deliverable && facts->growing;
}

static double headroom(const struct control *control, struct control_space *space,
		       const struct control_facts *facts)
{
	const struct control_tuning *t = &control->tuning;
	double least = (double)t->headroom_min_bytes, room;

	if (stalled(facts)) {
		space->stalled_ticks++;
		space->stall_factor = fmin(2 * space->stall_factor, STALL_FACTOR_MAX);
	} else {
		space->stalled_ticks = 0;
		space->stall_factor = 1;
	}
	if (t->guard_ns)
		room = estimator_guarded_headroom(&space->est, control->look_s, t->headroom_factor,
						  least);
	else
		room = estimator_blind_headroom(&space->est, seconds(t->period_ns),
						t->headroom_factor, least);
	return room * space->stall_factor;
}

/* The shrink law: rent idle room until it has cost as much as half a headroom held for a while. */
static bool idle_too_long(const struct control *control, struct control_space *space, double dt_s,
			  double surplus)
{
	double price = space->headroom / 2 * control->tuning.shrink_hold *
		       seconds(control->tuning.period_ns);

	space->idle = surplus > 0 ? space->idle + surplus * dt_s : 0;
	return space->idle > price;
}

static void want(const struct control *control, struct control_space *space, double dt_s,
		 bool period, const struct control_facts *facts)
{
	double size = (double)facts->size_bytes, used = (double)facts->used_bytes;
	double min = (double)space->wish.min_bytes, max = (double)space->wish.max_bytes;
	bool guarded = control->tuning.guard_ns > 0;

	space->headroom = headroom(control, space, facts);
	space->need = fmax(used, clip(used + space->headroom, min, max));
	space->want = size;
	space->reason = CONTROL_HOLD;
	if (size < min ||
	    (guarded && size - used < GUARD_LOW * space->headroom && size < space->need) ||
	    (!guarded && size < space->need)) {
		space->want = space->need;
		space->reason = period ? CONTROL_GROW : CONTROL_GUARD;
		if (space->stall_factor > 1)
			space->reason = CONTROL_STALL;
		space->idle = 0;
	} else if (idle_too_long(control, space, dt_s, size - space->need)) {
		space->want = space->need;
		space->reason = CONTROL_SHRINK;
		space->idle = 0;
	}
	/* Within the band, what it has is enough: growing costs others memory. */
	space->need = fmin(space->need, fmax(space->want, used));
}

/* ---- what all of them get ---- */

/* Everything about the spaces together that a single one's share depends on. */
struct totals {
	double capacity, minima, weights;
};

static struct totals sum_up(const struct control *control, const struct control_facts facts[])
{
	struct totals sum = {.capacity = capacity(control)};

	for (size_t i = 0; i < control->nspaces; i++) {
		if (facts[i].absent)
			continue;
		sum.minima += (double)control->space[i].wish.min_bytes;
		sum.weights += control->space[i].wish.weight;
	}
	return sum;
}

static double entitlement(const struct control_space *space, const struct totals *sum)
{
	if (sum->weights <= 0)
		return 0;
	return budget_entitlement((double)space->wish.min_bytes, space->wish.weight, sum->minima,
				  sum->weights, sum->capacity);
}

static struct budget_claim claim_of(const struct control *control,
				    const struct control_space *space, const struct totals *sum,
				    const struct control_facts *facts, unsigned int *alarms)
{
	double floor = fmax((double)space->wish.min_bytes, (double)facts->used_bytes);
	double entitled = entitlement(space, sum), most;

	most = entitled + seconds(control->tuning.payback_ns) * estimator_payback_bps(&space->est);
	if (space->need > most)
		*alarms |= CONTROL_PAYBACK;
	most = fmax(floor, most);
	return (struct budget_claim){
		.floor = floor,
		.need = clip(space->need, floor, most),
		.want = clip(fmax(space->want, space->need), floor, most),
		.entitlement = entitled,
		.weight = space->wish.weight,
	};
}

/* How many objects may grow in a space that gets grant of what it lacks. */
static unsigned int growing_limit(const struct control_space *space,
				  const struct budget_claim *claim, double need)
{
	double lacks = need - claim->floor, got = claim->grant - claim->floor;

	if (lacks <= 0 || got >= lacks / 2)
		return UINT_MAX;
	return (unsigned int)fmax(1, round(space->most_growing * got / lacks));
}

/* The stalled space that is nearest to its way out: the one that lacks least. */
static size_t pick_stalled(const struct control *control, const struct control_facts facts[])
{
	size_t pick = control->nspaces;

	for (size_t i = 0; i < control->nspaces; i++) {
		if (facts[i].absent || control->space[i].stalled_ticks < 2)
			continue;
		if (pick == control->nspaces || facts[i].growing < facts[pick].growing)
			pick = i;
	}
	return pick;
}

static void make_claims(struct control *control, const struct control_facts facts[],
			struct control_order orders[])
{
	struct totals sum = sum_up(control, facts);

	for (size_t i = 0; i < control->nspaces; i++) {
		struct budget_claim *claim = &control->claim[i];

		if (facts[i].absent)
			*claim = (struct budget_claim){.weight = 1};
		else
			*claim = claim_of(control, &control->space[i], &sum, &facts[i],
					  &orders[i].alarms);
		orders[i].entitlement_bytes = (uint64_t)claim->entitlement;
	}
}

/* All that is left, reserve included, to one stalled space; the others start nothing. */
static void free_stalled(struct control *control, const struct control_facts facts[],
			 struct control_order orders[], double left)
{
	size_t pick = pick_stalled(control, facts);

	if (pick == control->nspaces)
		return;
	for (size_t i = 0; i < control->nspaces; i++)
		if (i != pick && !facts[i].absent && control->space[i].stalled_ticks >= 2)
			orders[i].growing_limit = 0;
	control->space[pick].want = fmin(control->space[pick].want + fmax(left, 0),
					 (double)control->space[pick].wish.max_bytes);
	control->space[pick].reason = CONTROL_STALL;
}

static void share_budget(struct control *control, const struct control_facts facts[],
			 struct control_order orders[])
{
	double left = (double)control->tuning.budget_bytes;

	make_claims(control, facts, orders);
	budget_share(control->claim, control->nspaces, capacity(control));
	for (size_t i = 0; i < control->nspaces; i++) {
		struct control_space *space = &control->space[i];
		const struct budget_claim *claim = &control->claim[i];

		if (facts[i].absent)
			continue;
		orders[i].growing_limit = growing_limit(space, claim, space->need);
		if (claim->grant < space->want)
			space->reason = CONTROL_BUDGET;
		space->want = claim->grant;
		left -= claim->grant;
	}
	if (left < 0)
		for (size_t i = 0; i < control->nspaces; i++)
			orders[i].alarms |= CONTROL_OVERCOMMITTED;
	free_stalled(control, facts, orders, left);
}

/* ---- orders ---- */

static unsigned int alarms_of(const struct control *control, const struct control_space *space,
			      uint64_t now_ns, const struct control_facts *facts)
{
	unsigned int alarms = 0;

	if (now_ns - space->cpu_well_ns > control->tuning.slo_window_ns)
		alarms |= CONTROL_CPU_BOUND;
	if (now_ns - space->drain_well_ns > control->tuning.slo_window_ns)
		alarms |= CONTROL_DRAIN_OVERLOAD;
	if (space->stalled_ticks >= 2)
		alarms |= CONTROL_DEADLOCK;
	if (stalled(facts) && facts->growing == 1 && facts->size_bytes >= space->wish.max_bytes)
		alarms |= CONTROL_OBJECT_TOO_BIG;
	return alarms;
}

/* A guest can drive an estimate to any height; a conversion must not overflow for it. */
static uint64_t bytes_of(double x)
{
	return (uint64_t)clip(x, 0, 0x1p62);
}

/*
 * Whole pages, rounded down lest the sum of many exceeds the budget, and never below the use: the
 * kernel would refuse that, and 0 would mean without limit.
 */
static uint64_t whole_size(const struct control_space *space, const struct control_facts *facts)
{
	uint64_t size = bytes_of(space->want) / GRAIN_BYTES * GRAIN_BYTES;

	if (size < space->wish.min_bytes && space->want >= (double)space->wish.min_bytes)
		size = space->wish.min_bytes;
	if (space->want >= (double)space->wish.max_bytes)
		size = space->wish.max_bytes;
	if (size < facts->used_bytes)
		size = facts->used_bytes;
	return size ? size : space->wish.min_bytes;
}

static void write_order(const struct control *control, struct control_space *space, uint64_t now_ns,
			const struct control_facts *facts, struct control_order *order)
{
	order->size_bytes = whole_size(space, facts);
	order->reason = space->reason;
	if (order->size_bytes == facts->size_bytes && space->reason != CONTROL_BUDGET)
		order->reason = CONTROL_HOLD;
	order->alarms |= alarms_of(control, space, now_ns, facts);
	order->need_bytes = bytes_of(space->need);
	order->headroom_bytes = bytes_of(space->headroom);
	order->p95_s = space->report.p95_s;
	order->late = space->report.late;
	order->memory_late = space->report.memory_late;
	order->full = space->report.full;
	order->lambda = space->est.starts_60s;
	order->rho_drain = space->rho_drain;
	order->rho_cpu = space->est.cpu_busy;
	order->model_q99_bytes = space->model_q99;
	order->residual = space->est.residual;
	order->doubts = space->doubts;
	order->guest = space->rejecting			     ? CONTROL_GUEST_REJECTED
		       : guest_stale(control, space, now_ns) ? CONTROL_GUEST_STALE
							     : CONTROL_GUEST_OK;
	memcpy(order->rejected, space->rejected, sizeof(order->rejected));
}

static bool period_due(const struct control *control, uint64_t now_ns)
{
	uint64_t slack_ns = control->tuning.guard_ns / 2;

	return !control->started ||
	       now_ns - control->period_ns + slack_ns >= control->tuning.period_ns;
}

/* Looks that come late, or not at all, are expected to do so again for a while. */
static void look(struct control *control, double dt_s)
{
	double guard_s = seconds(control->tuning.guard_ns);
	double before_s = fmax(control->look_s, guard_s);
	double fading_s = before_s - (before_s - guard_s) / LOOKS_REMEMBERED;

	control->look_s = fmin(fmax(dt_s, fading_s), LOOK_MAX * guard_s);
}

bool control_tick(struct control *control, uint64_t now_ns, const struct control_facts facts[],
		  struct control_order orders[])
{
	double dt_s = control->started ? seconds(now_ns - control->last_ns) : 0;
	bool period = period_due(control, now_ns);

	look(control, dt_s);

	for (size_t i = 0; i < control->nspaces; i++) {
		struct control_space *space = &control->space[i];

		memset(&orders[i], 0, sizeof(orders[i]));
		orders[i].growing_limit = UINT_MAX;
		if (facts[i].absent)
			continue;
		meet(space, now_ns);
		observe(space, now_ns, dt_s, &facts[i]);
		if (period)
			learn(control, space, now_ns, &facts[i]);
		want(control, space, dt_s, period, &facts[i]);
	}
	if (control->tuning.budget_bytes)
		share_budget(control, facts, orders);
	for (size_t i = 0; i < control->nspaces; i++)
		if (!facts[i].absent)
			write_order(control, &control->space[i], now_ns, &facts[i], &orders[i]);
	if (period)
		for (size_t i = 0; i < control->nspaces; i++)
			control->space[i].headroom_before_bytes =
				orders[i].size_bytes - facts[i].used_bytes;
	control->last_ns = now_ns;
	control->period_ns = period ? now_ns : control->period_ns;
	control->started = true;
	return period;
}

/* One resize; a refused one leaves the size as it was and says so. */
static bool apply_one(struct control_facts *facts, struct control_order *order, uint64_t size_bytes,
		      int (*resize)(void *cookie, size_t space, uint64_t size_bytes), void *cookie,
		      size_t space)
{
	if (resize(cookie, space, size_bytes)) {
		order->reason = CONTROL_REFUSED;
		return false;
	}
	facts->size_bytes = size_bytes;
	return true;
}

unsigned int control_apply(const struct control *control, struct control_facts facts[],
			   struct control_order orders[],
			   int (*resize)(void *cookie, size_t space, uint64_t size_bytes),
			   void *cookie)
{
	uint64_t budget = control->tuning.budget_bytes ? control->tuning.budget_bytes : UINT64_MAX;
	uint64_t sum = 0;
	unsigned int made = 0;

	for (size_t i = 0; i < control->nspaces; i++) {
		if (facts[i].absent)
			continue;
		if (orders[i].size_bytes < facts[i].size_bytes)
			made += apply_one(&facts[i], &orders[i], orders[i].size_bytes, resize,
					  cookie, i);
		sum += facts[i].size_bytes;
	}
	for (size_t i = 0; i < control->nspaces; i++) {
		uint64_t room = sum < budget ? budget - sum : 0, more;

		if (facts[i].absent || orders[i].size_bytes <= facts[i].size_bytes)
			continue;
		more = orders[i].size_bytes - facts[i].size_bytes;
		more = more < room ? more : room / GRAIN_BYTES * GRAIN_BYTES;
		if (more && apply_one(&facts[i], &orders[i], facts[i].size_bytes + more, resize,
				      cookie, i)) {
			sum += more;
			made++;
		}
	}
	return made;
}

void control_failsafe(const struct control *control, const struct control_facts facts[],
		      uint64_t size_bytes[])
{
	double sum = 0, floors = 0, scale = 1, budget = (double)control->tuning.budget_bytes;

	for (size_t i = 0; i < control->nspaces; i++) {
		const struct control_space *space = &control->space[i];
		double floor = fmax((double)space->wish.min_bytes, (double)facts[i].used_bytes);
		double size = estimator_failsafe(&space->est, facts[i].used_bytes, space->model_q99,
						 seconds(control->tuning.failsafe_ns));

		size = fmax(floor, fmin(size, (double)space->wish.max_bytes));
		size_bytes[i] = facts[i].absent ? 0 : (uint64_t)size;
		sum += facts[i].absent ? 0 : size - floor;
		floors += facts[i].absent ? 0 : floor;
	}
	if (budget > 0 && floors + sum > budget)
		scale = sum > 0 ? fmax(0, budget - floors) / sum : 0;
	for (size_t i = 0; i < control->nspaces; i++) {
		uint64_t min = control->space[i].wish.min_bytes, used = facts[i].used_bytes;
		uint64_t floor = used > min ? used : min;

		if (!facts[i].absent)
			size_bytes[i] =
				floor + (uint64_t)(scale * (double)(size_bytes[i] - floor)) /
						GRAIN_BYTES * GRAIN_BYTES;
	}
}
