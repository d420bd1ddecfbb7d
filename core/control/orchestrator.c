/*
 * Theory. A space that is too small blocks its VM; one that is too large starves the others. What
 * the space holds (Q) moves fast: whole objects leave at once, and new ones fill in seconds. No
 * model foresees that as well as looking often does, and a look and a resize cost microseconds.
 * So sizes follow use, and the model serves where nobody looks (no guard, fail-safe, cold start).
 * need.c says what each space needs; here is what all of them get.
 *
 * A budget. Everybody gets what he needs while it suffices. If not, slack goes first; then see
 * budget.c. Nobody may borrow more above his entitlement than his drain pays back in time. A space
 * that gets less than half of what it lacks is to write fewer objects at once, for half-written
 * objects free nothing. One that is full of them would stand still for ever: it gets all that is
 * left, reserve included, and other such spaces start nothing until it moves. But a guest can also
 * mean to never finish what it has begun, and what is used nobody can take back. So this gift
 * goes above the entitlement by what the space has delivered so far, or by the reserve if that is
 * more: who delivers nothing cannot hoard.
 */
#include "control/orchestrator.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control/budget.h"
#include "control/need.h"

#define SECOND_NS	 UINT64_C(1000000000)
#define GRAIN_BYTES	 65536
#define LEAST_GIFT	 (1 << 20) /* with less a space counts as full still */
#define LOOKS_REMEMBERED 100	   /* how many it takes to forget a late one */
#define LOOK_MAX	 4 /* guard intervals; what a suspended host tells of more is nothing */

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

static double clip(double x, double low, double high)
{
	return fmin(high, fmax(low, x));
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
	for (size_t i = 0; i < n; i++)
		need_init(&control->space[i], &wishes[i]);
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

/* What a stalled space may have, at most. */
static double stalled_most(const struct control *control, size_t i)
{
	const struct control_space *space = &control->space[i];
	double reserve = control->tuning.reserve * (double)control->tuning.budget_bytes;

	return fmin(control->claim[i].entitlement + fmax(reserve, space->delivered),
		    (double)space->wish.max_bytes);
}

static bool has_less(const struct control *control, const struct control_facts facts[], size_t i)
{
	return (double)facts[i].used_bytes <= control->claim[i].entitlement;
}

/* Who has not got his entitlement goes first; then who is nearest to his way out, lacking least. */
static bool goes_before(const struct control *control, const struct control_facts facts[], size_t i,
			size_t j)
{
	bool less = has_less(control, facts, i);

	return less != has_less(control, facts, j) ? less : facts[i].growing < facts[j].growing;
}

/* Of the stalled spaces that may have more. */
static size_t pick_stalled(const struct control *control, const struct control_facts facts[])
{
	size_t pick = control->nspaces;

	for (size_t i = 0; i < control->nspaces; i++) {
		const struct control_space *space = &control->space[i];

		if (facts[i].absent || space->stalled_ticks < 2 ||
		    stalled_most(control, i) < space->want + LEAST_GIFT)
			continue;
		if (pick == control->nspaces || goes_before(control, facts, i, pick))
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

/* What is left, reserve included, to one stalled space; the others start nothing. */
static void free_stalled(struct control *control, const struct control_facts facts[],
			 struct control_order orders[], double left)
{
	size_t pick = pick_stalled(control, facts);

	if (pick == control->nspaces)
		return;
	for (size_t i = 0; i < control->nspaces; i++)
		if (i != pick && !facts[i].absent && control->space[i].stalled_ticks >= 2)
			orders[i].growing_limit = 0;
	control->space[pick].want =
		fmin(control->space[pick].want + fmax(left, 0), stalled_most(control, pick));
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

static void write_order(const struct need_look *look, const struct control_space *space,
			const struct control_facts *facts, struct control_order *order)
{
	order->size_bytes = whole_size(space, facts);
	order->reason = space->reason;
	if (order->size_bytes == facts->size_bytes && space->reason != CONTROL_BUDGET)
		order->reason = CONTROL_HOLD;
	order->alarms |= need_alarms(look, space, facts);
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
	order->guest = space->rejecting		       ? CONTROL_GUEST_REJECTED
		       : need_guest_stale(look, space) ? CONTROL_GUEST_STALE
						       : CONTROL_GUEST_OK;
}

static bool period_due(const struct control *control, uint64_t now_ns)
{
	uint64_t slack_ns = control->tuning.guard_ns / 2;

	return !control->started ||
	       now_ns - control->period_ns + slack_ns >= control->tuning.period_ns;
}

/* Looks that come late, or not at all, are expected to do so again for a while. */
static void look_apart(struct control *control, double dt_s)
{
	double guard_s = seconds(control->tuning.guard_ns);
	double before_s = fmax(control->look_s, guard_s);
	double fading_s = before_s - (before_s - guard_s) / LOOKS_REMEMBERED;

	control->look_s = fmin(fmax(dt_s, fading_s), LOOK_MAX * guard_s);
}

bool control_tick(struct control *control, uint64_t now_ns, const struct control_facts facts[],
		  struct control_order orders[])
{
	struct need_look look = {
		.tuning = &control->tuning,
		.now_ns = now_ns,
		.dt_s = control->started ? seconds(now_ns - control->last_ns) : 0,
		.period = period_due(control, now_ns),
	};

	look_apart(control, look.dt_s);
	look.apart_s = control->look_s;
	for (size_t i = 0; i < control->nspaces; i++) {
		memset(&orders[i], 0, sizeof(orders[i]));
		orders[i].growing_limit = UINT_MAX;
		if (!facts[i].absent)
			need_look(&look, &control->space[i], &facts[i]);
		else
			control->space[i].met = false;
		/* Counted on, whether it is there or not. */
		memcpy(orders[i].rejected, control->space[i].rejected, sizeof(orders[i].rejected));
	}
	if (control->tuning.budget_bytes)
		share_budget(control, facts, orders);
	for (size_t i = 0; i < control->nspaces; i++)
		if (!facts[i].absent)
			write_order(&look, &control->space[i], &facts[i], &orders[i]);
	if (look.period)
		for (size_t i = 0; i < control->nspaces; i++)
			control->space[i].headroom_before_bytes =
				orders[i].size_bytes - facts[i].used_bytes;
	control->last_ns = now_ns;
	control->period_ns = look.period ? now_ns : control->period_ns;
	control->started = true;
	return look.period;
}

/* One resize; a refused one leaves the size as it was and says so. */
static bool apply_one(struct control_facts *facts, struct control_order *order, uint64_t size_bytes,
		      int (*resize)(void *cookie, size_t space, uint64_t *size_bytes), void *cookie,
		      size_t space)
{
	if (resize(cookie, space, &size_bytes)) {
		order->reason = CONTROL_REFUSED;
		return false;
	}
	facts->size_bytes = size_bytes;
	return true;
}

unsigned int control_apply(const struct control *control, struct control_facts facts[],
			   struct control_order orders[],
			   int (*resize)(void *cookie, size_t space, uint64_t *size_bytes),
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

/* What is safe while nobody looks: of a quiet space its entitlement, for jobs will come. */
static struct budget_claim safe_claim(const struct control *control,
				      const struct control_space *space, const struct totals *sum,
				      const struct control_facts *facts, uint64_t fixed_bytes)
{
	double least = fmax((double)space->wish.min_bytes, (double)facts->used_bytes);
	double floor = fmax(least, (double)fixed_bytes);
	double entitled = entitlement(space, sum), safe;

	if (facts->absent)
		return (struct budget_claim){0};
	safe = estimator_failsafe(&space->est, facts->used_bytes, space->model_q99,
				  seconds(control->tuning.failsafe_ns));
	safe = fixed_bytes ? 0 : fmin(fmax(safe, entitled), (double)space->wish.max_bytes);
	safe = fmax(safe, floor);
	return (struct budget_claim){
		.floor = floor, .need = safe, .want = safe, .entitlement = entitled};
}

void control_failsafe(const struct control *control, const struct control_facts facts[],
		      uint64_t size_bytes[])
{
	struct totals sum = sum_up(control, facts);
	double most = control->tuning.budget_bytes ? sum.capacity : INFINITY;
	struct budget_claim *claim = control->claim;

	for (size_t i = 0; i < control->nspaces; i++)
		claim[i] = safe_claim(control, &control->space[i], &sum, &facts[i], size_bytes[i]);
	budget_share(claim, control->nspaces, most);
	for (size_t i = 0; i < control->nspaces; i++)
		size_bytes[i] =
			bytes_of(claim[i].floor) +
			bytes_of(claim[i].grant - claim[i].floor) / GRAIN_BYTES * GRAIN_BYTES;
}
