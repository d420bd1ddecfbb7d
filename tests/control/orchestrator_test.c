/*
 * What must hold whatever a guest does: never a size of 0, never below the use, never more than
 * the budget in sum; and the rules that keep one guest's trouble from the others.
 */
#include "control/orchestrator.h"

#include <errno.h>
#include <limits.h>
#include <math.h>

#include "control/need.h"
#include "tests/tap.h"

#define N      8
#define MB     UINT64_C(1000000)
#define GUARD  UINT64_C(200000000)
#define BUDGET (2000 * MB)

struct world {
	struct control control;
	struct control_facts facts[N];
	struct control_order orders[N];
	struct job_record record[64];
	uint64_t now_ns, random;
	unsigned int refused; /* of 16, how many resizes */
};

static uint64_t chance(struct world *world, uint64_t n)
{
	world->random = world->random * 6364136223846793005u + 1442695040888963407u;
	return (world->random >> 33) % n;
}

static int resize(void *cookie, size_t space, uint64_t *size_bytes)
{
	struct world *world = cookie;

	if (*size_bytes < world->facts[space].used_bytes || chance(world, 16) < world->refused)
		return -EBUSY;
	return 0;
}

static int open_world(struct world *world, uint64_t budget_bytes, uint64_t guard_ns, size_t n)
{
	struct control_tuning tuning = control_tuning_default();
	struct control_wish wish[N];

	*world = (struct world){.random = 42, .now_ns = 1000 * GUARD};
	tuning.budget_bytes = budget_bytes;
	tuning.guard_ns = guard_ns;
	for (size_t i = 0; i < n; i++) {
		wish[i] = (struct control_wish){.min_bytes = 64 * MB,
						.max_bytes = 4000 * MB,
						.weight = 1 + (double)i / 4,
						.slo_ns = 8 * GUARD * 5,
						.slo_share = 0.95};
		world->facts[i].size_bytes = 64 * MB;
		world->facts[i].drain_bps = 60e6;
		world->facts[i].client_bps = 8e6;
	}
	return control_init(&world->control, &tuning, wish, n);
}

static struct job_record random_record(struct world *world)
{
	int64_t now = (int64_t)world->now_ns, far = (int64_t)chance(world, UINT64_C(1) << 31);
	struct job_record record = {
		.arrival_ns = now - (int64_t)chance(world, 20 * 5 * GUARD),
		.start_ns = now - (int64_t)chance(world, 5 * GUARD),
		.end_ns = now + (int64_t)chance(world, GUARD),
		.out_bytes = chance(world, 100 * MB),
		.blocked_ns = (int64_t)chance(world, 10 * GUARD),
	};

	if (chance(world, 4) == 0)
		record.arrival_ns = far * far * 2;
	return record;
}

/* The guest writes and the host releases what they like, within the size there is. */
static void random_facts(struct world *world, struct control_facts *facts)
{
	uint64_t kind = chance(world, 8);

	if (kind == 0)
		facts->used_bytes = facts->size_bytes;
	else if (kind == 1)
		facts->used_bytes = chance(world, facts->size_bytes / 4096 + 1) * 4096;
	else if (kind == 2)
		facts->used_bytes = 0;
	facts->peak_bytes = chance(world, 2) ? UINT64_MAX : facts->used_bytes;
	facts->inflow_bytes = chance(world, 3) ? chance(world, 50 * MB) : UINT64_MAX;
	facts->freed_bytes = chance(world, 3) ? chance(world, 50 * MB) : 0;
	facts->delivered_bytes = chance(world, 5) ? chance(world, 50 * MB) : UINT64_MAX;
	facts->started = (unsigned int)(chance(world, 9) ? chance(world, 5) : UINT32_MAX);
	facts->completed = (unsigned int)chance(world, 5);
	facts->completed_bytes = (double)chance(world, 100 * MB) * facts->completed;
	facts->completed_bytes2 = chance(world, 9) ? facts->completed_bytes * 1e7 : 1e300;
	facts->growing = (unsigned int)chance(world, 9);
	facts->deliverable = (unsigned int)chance(world, 3);
	facts->drain_bps = chance(world, 4) ? 60e6 : 0;
	facts->full = facts->used_bytes == facts->size_bytes;
	facts->record = world->record;
	facts->nrecords = chance(world, 64);
}

static void randomise(struct world *world)
{
	for (size_t i = 0; i < world->control.nspaces; i++)
		random_facts(world, &world->facts[i]);
	for (size_t i = 0; i < 64; i++)
		world->record[i] = random_record(world);
}

struct breaches {
	unsigned int zero, below_use, above_max, over_budget;
};

static void check_tick(struct world *world, struct breaches *breaches)
{
	uint64_t budget = world->control.tuning.budget_bytes, ordered = 0, sum = 0;

	for (size_t i = 0; i < world->control.nspaces; i++) {
		uint64_t size = world->orders[i].size_bytes;

		breaches->zero += size == 0;
		breaches->below_use += size < world->facts[i].used_bytes;
		breaches->above_max += size > 4000 * MB;
		ordered += size;
		sum += world->facts[i].size_bytes;
	}
	breaches->over_budget += budget && (ordered > budget || sum > budget);
}

static void adversary(const char *name, uint64_t budget_bytes, uint64_t guard_ns, size_t n,
		      unsigned int refused)
{
	struct breaches breaches = {0};
	struct world world;

	is_int(open_world(&world, budget_bytes, guard_ns, n), 0, "%s: ready", name);
	world.refused = refused;
	for (int i = 0; i < 20000; i++) {
		world.now_ns += guard_ns ? guard_ns + chance(&world, 2 * guard_ns) : 10 * GUARD;
		randomise(&world);
		control_tick(&world.control, world.now_ns, world.facts, world.orders);
		control_apply(&world.control, world.facts, world.orders, resize, &world);
		check_tick(&world, &breaches);
	}
	is_int(breaches.zero, 0, "%s: never a size of 0", name);
	is_int(breaches.below_use, 0, "%s: never below the use", name);
	is_int(breaches.above_max, 0, "%s: never above max", name);
	is_int(breaches.over_budget, 0, "%s: never more than the budget", name);
	control_close(&world.control);
}

static void wishes(void)
{
	struct control_tuning tuning = control_tuning_default();
	struct control_wish wish[2] = {
		{.min_bytes = 64 * MB, .max_bytes = 4000 * MB, .weight = 1, .slo_share = 0.95}};
	struct control control;

	wish[1] = wish[0];
	is_int(control_init(&control, &tuning, wish, 2), -EINVAL, "two spaces need a budget");
	tuning.budget_bytes = 100 * MB;
	is_int(control_init(&control, &tuning, wish, 2), -EINVAL, "that holds their minima");
	tuning.budget_bytes = 1000 * MB;
	wish[1].min_bytes = 0;
	is_int(control_init(&control, &tuning, wish, 2), -EINVAL, "a minimum of 0 is no size");
	wish[1].min_bytes = 64 * MB;
	wish[1].weight = NAN;
	is_int(control_init(&control, &tuning, wish, 2), -EINVAL, "a weight is a number");
	wish[1].weight = 1;
	is_int(control_init(&control, &tuning, wish, 2), 0, "good wishes");
	control_close(&control);
}

static void guard(void)
{
	struct world world;

	open_world(&world, 0, GUARD, 1);
	ok(control_tick(&world.control, world.now_ns, world.facts, world.orders),
	   "the first tick is a period");
	is_int((intmax_t)world.orders[0].size_bytes, 64 * MB, "an idle space keeps its minimum");
	world.now_ns += GUARD;
	world.facts[0].used_bytes = 62 * MB;
	world.facts[0].inflow_bytes = 62 * MB;
	ok(!control_tick(&world.control, world.now_ns, world.facts, world.orders),
	   "the second is the guard's");
	is_int(world.orders[0].reason, CONTROL_GUARD, "which grows what is nearly full");
	ok(world.orders[0].size_bytes >= 62 * MB + 2 * 62 * MB, "by two intervals' inflow");
	control_close(&world.control);
}

/* Looks at a steady inflow of 20 MB in a guard interval. The headroom after the last. */
static intmax_t look(struct world *world, int times, uint64_t intervals)
{
	for (int i = 0; i < times; i++) {
		world->now_ns += intervals * GUARD;
		world->facts[0].inflow_bytes = intervals * 20 * MB;
		control_tick(&world->control, world->now_ns, world->facts, world->orders);
	}
	return (intmax_t)world->orders[0].headroom_bytes;
}

static void late_looks(void)
{
	struct world world;
	intmax_t steady, late;

	open_world(&world, 0, GUARD, 1);
	steady = look(&world, 100, 1);
	late = look(&world, 1, 3);
	ok(late > 2 * steady, "a look that comes late may do so again: more headroom");
	ok(look(&world, 1, 1) > 2 * steady, "not only once");
	ok(look(&world, 1000, 1) < steady + steady / 10, "and is forgotten");
	ok(look(&world, 1, 36000) < 5 * steady, "a host that slept is no reason for much more");
	control_close(&world.control);
}

/* A space that delivers nothing gets its entitlement and no more. */
static void hoarder(void)
{
	struct world world;
	struct control_facts *facts = &world.facts[0];
	unsigned int alarms = 0;

	open_world(&world, BUDGET, GUARD, 4);
	for (int i = 0; i < 5000; i++) {
		world.now_ns += GUARD;
		facts->inflow_bytes = facts->size_bytes - facts->used_bytes;
		facts->inflow_bytes = facts->inflow_bytes < 8 * MB ? facts->inflow_bytes : 8 * MB;
		facts->used_bytes += facts->inflow_bytes;
		facts->deliverable = 1;
		control_tick(&world.control, world.now_ns, world.facts, world.orders);
		control_apply(&world.control, world.facts, world.orders, resize, &world);
		alarms |= world.orders[0].alarms;
	}
	ok(facts->size_bytes <= world.orders[0].entitlement_bytes, "a hoarder has %ju of %ju MB",
	   (uintmax_t)(facts->size_bytes / MB), (uintmax_t)(BUDGET / MB));
	ok(alarms & CONTROL_PAYBACK, "and the payback alarm");
	control_close(&world.control);
}

/* All full of half-written objects: one gets the rest, the others start nothing. */
static void deadlock(void)
{
	unsigned int grown = 0, held = 0;
	struct world world;

	open_world(&world, BUDGET, GUARD, 4);
	for (size_t i = 0; i < 4; i++) {
		world.facts[i].size_bytes = world.facts[i].used_bytes = 490 * MB;
		world.facts[i].growing = 4;
		world.facts[i].full = true;
	}
	for (int i = 0; i < 10; i++) {
		world.now_ns += GUARD;
		control_tick(&world.control, world.now_ns, world.facts, world.orders);
	}
	for (size_t i = 0; i < 4; i++) {
		grown += world.orders[i].size_bytes > 490 * MB;
		held += world.orders[i].growing_limit == 0;
		ok(world.orders[i].alarms & CONTROL_DEADLOCK, "space %zu is known as deadlocked",
		   i);
	}
	is_int(grown, 1, "one grows");
	is_int(held, 3, "three start nothing");
	control_apply(&world.control, world.facts, world.orders, resize, &world);
	ok(world.facts[0].size_bytes + world.facts[1].size_bytes + world.facts[2].size_bytes +
			   world.facts[3].size_bytes <=
		   BUDGET,
	   "within the budget");
	control_close(&world.control);
}

/* A guest's writes into its space, 8 MB a look: parts that it does not finish. */
static void write_parts(struct world *world, size_t i, unsigned int parts)
{
	struct control_facts *facts = &world->facts[i];
	uint64_t room = facts->size_bytes - facts->used_bytes;

	facts->inflow_bytes = room < 8 * MB ? room : 8 * MB;
	facts->used_bytes += facts->inflow_bytes;
	facts->full = facts->size_bytes - facts->used_bytes < 1 << 20;
	facts->growing = parts;
}

static void tick(struct world *world)
{
	world->now_ns += GUARD;
	control_tick(&world->control, world->now_ns, world->facts, world->orders);
	control_apply(&world->control, world->facts, world->orders, resize, world);
}

/* One part that is never finished buys no more than the reserve; who wakes later gets his own. */
static void hoarder_of_a_part(void)
{
	uint64_t reserve = BUDGET / 50, before;
	unsigned int alarms = 0;
	struct world world;

	open_world(&world, BUDGET, GUARD, 2);
	for (int i = 0; i < 2000; i++) {
		write_parts(&world, 0, 1);
		tick(&world);
		alarms |= world.orders[0].alarms;
	}
	ok(world.facts[0].used_bytes <= world.orders[0].entitlement_bytes + reserve,
	   "who never finishes a part has %ju of %ju MB",
	   (uintmax_t)(world.facts[0].used_bytes / MB), (uintmax_t)(BUDGET / MB));
	ok(alarms & CONTROL_DEADLOCK, "and is known as deadlocked");
	/* Three parts: an honest one is freed, though the other has fewer. */
	for (int i = 0; i < 2000; i++) {
		write_parts(&world, 0, 1);
		write_parts(&world, 1, 3);
		tick(&world);
	}
	ok(world.facts[1].size_bytes + reserve >= world.orders[1].entitlement_bytes,
	   "who wakes later has his %ju MB, but for the reserve",
	   (uintmax_t)(world.facts[1].size_bytes / MB));
	/* The first gives up half of it: the other is the one that is freed, and only up to its
	 * bound. */
	before = world.facts[1].size_bytes;
	world.facts[0].used_bytes /= 2;
	for (int i = 0; i < 100; i++) {
		write_parts(&world, 1, 3);
		world.facts[0].inflow_bytes = 0;
		world.facts[0].full = false;
		tick(&world);
	}
	ok(world.facts[1].size_bytes > before &&
		   world.facts[1].used_bytes <= world.orders[1].entitlement_bytes + reserve,
	   "and more when there is more: %ju MB", (uintmax_t)(world.facts[1].size_bytes / MB));
	control_close(&world.control);
}

/* One that has delivered before is believed to do so again. */
static void freed_by_what_it_delivered(void)
{
	struct world world;

	open_world(&world, BUDGET, GUARD, 2);
	world.facts[0].delivered_bytes = 600 * MB;
	tick(&world);
	world.facts[0].delivered_bytes = 0;
	for (int i = 0; i < 2000; i++) {
		write_parts(&world, 0, 4);
		tick(&world);
	}
	ok(world.facts[0].used_bytes > world.orders[0].entitlement_bytes + 550 * MB,
	   "a stalled space has %ju MB to finish in", (uintmax_t)(world.facts[0].used_bytes / MB));
	ok(world.facts[0].used_bytes <= world.orders[0].entitlement_bytes + 600 * MB,
	   "as much above its own as it ever delivered");
	control_close(&world.control);
}

static void absent_and_refused(void)
{
	struct world world;

	open_world(&world, BUDGET, GUARD, 2);
	world.facts[1].absent = true;
	world.facts[0].used_bytes = 63 * MB;
	control_tick(&world.control, world.now_ns, world.facts, world.orders);
	is_int(control_apply(&world.control, world.facts, world.orders, resize, &world), 1,
	       "only the space that is there is resized");
	world.refused = 16;
	world.now_ns += GUARD;
	world.facts[0].used_bytes = world.facts[0].size_bytes;
	control_tick(&world.control, world.now_ns, world.facts, world.orders);
	is_int(control_apply(&world.control, world.facts, world.orders, resize, &world), 0,
	       "a refused resize is none");
	is_int(world.orders[0].reason, CONTROL_REFUSED, "and says so");
	control_close(&world.control);
}

static void away_and_back(void)
{
	struct world world;

	open_world(&world, BUDGET, GUARD, 2);
	control_tick(&world.control, world.now_ns, world.facts, world.orders);
	world.control.space[1].rejected[RECORD_OK + 1] = 7;
	world.facts[1].absent = true;
	for (int i = 0; i < 200; i++) {
		world.now_ns += GUARD;
		control_tick(&world.control, world.now_ns, world.facts, world.orders);
	}
	is_int((intmax_t)world.orders[1].rejected[RECORD_OK + 1], 7,
	       "what was counted of a space that is away stays");
	do
		world.now_ns += GUARD;
	while (!control_tick(&world.control, world.now_ns, world.facts, world.orders));
	world.facts[1].absent = false;
	world.now_ns += GUARD;
	ok(!control_tick(&world.control, world.now_ns, world.facts, world.orders),
	   "it is back between two periods");
	is_int((intmax_t)world.orders[1].alarms, 0, "and nothing is wrong that was not seen");
	control_close(&world.control);
}

static void failsafe(void)
{
	uint64_t size_bytes[N] = {0}, sum = 0;
	struct world world;
	bool safe = true;

	open_world(&world, BUDGET, GUARD, N);
	for (int i = 0; i < 100; i++) {
		world.now_ns += GUARD;
		randomise(&world);
		control_tick(&world.control, world.now_ns, world.facts, world.orders);
		control_apply(&world.control, world.facts, world.orders, resize, &world);
	}
	control_failsafe(&world.control, world.facts, size_bytes);
	for (size_t i = 0; i < N; i++) {
		safe &= size_bytes[i] >= 64 * MB && size_bytes[i] >= world.facts[i].used_bytes;
		sum += size_bytes[i];
	}
	ok(safe, "fail-safe sizes hold the use and the minimum");
	ok(sum <= BUDGET, "within the budget");
	control_close(&world.control);
}

/* Three spaces at night: size_bytes[] is what they are left with until somebody looks again. */
static void failsafe_of_quiet(struct world *world, uint64_t size_bytes[3])
{
	world->now_ns += GUARD;
	control_tick(&world->control, world->now_ns, world->facts, world->orders);
	control_failsafe(&world->control, world->facts, size_bytes);
}

/* A grain below the entitlement is it, too. */
static bool entitled(const struct world *world, size_t i, uint64_t size_bytes)
{
	return size_bytes + 65536 > world->orders[i].entitlement_bytes;
}

static void failsafe_quiet(void)
{
	uint64_t size[3] = {0};
	struct world world;

	open_world(&world, BUDGET, GUARD, 3);
	failsafe_of_quiet(&world, size);
	ok(entitled(&world, 0, size[0]) && entitled(&world, 1, size[1]) &&
		   entitled(&world, 2, size[2]),
	   "who is quiet is left with its entitlement: %ju, %ju, %ju MB", (uintmax_t)(size[0] / MB),
	   (uintmax_t)(size[1] / MB), (uintmax_t)(size[2] / MB));
	ok(size[0] + size[1] + size[2] <= BUDGET / 100 * 98, "all within the budget's capacity");
	memset(size, 0, sizeof(size));
	world.control.space[1].wish.max_bytes = 100 * MB;
	failsafe_of_quiet(&world, size);
	ok(size[1] <= 100 * MB, "and no more than max");
	control_close(&world.control);
}

/* What one wants, or is given anyhow, is not taken from what the others are entitled to. */
static void failsafe_greedy(void)
{
	uint64_t size[3] = {0};
	struct world world;

	open_world(&world, BUDGET, GUARD, 3);
	failsafe_of_quiet(&world, size);
	memset(size, 0, sizeof(size));
	world.control.space[0].model_q99 = 1e18;
	control_failsafe(&world.control, world.facts, size);
	ok(entitled(&world, 1, size[1]) && entitled(&world, 2, size[2]),
	   "one that would be safe with all leaves the others theirs: %ju, %ju MB",
	   (uintmax_t)(size[1] / MB), (uintmax_t)(size[2] / MB));
	ok(size[0] + size[1] + size[2] <= BUDGET / 100 * 98, "within the capacity");
	world.control.space[0].model_q99 = 0;
	memset(size, 0, sizeof(size));
	size[2] = 1500 * MB;
	control_failsafe(&world.control, world.facts, size);
	is_int((intmax_t)size[2], 1500 * MB, "a size that is given is what it gets");
	ok(size[0] + size[1] + size[2] <= BUDGET / 100 * 98 && size[0] > 64 * MB &&
		   size[1] > 64 * MB,
	   "and the others what is left: %ju, %ju MB", (uintmax_t)(size[0] / MB),
	   (uintmax_t)(size[1] / MB));
	world.facts[1].absent = true;
	memset(size, 0, sizeof(size));
	control_failsafe(&world.control, world.facts, size);
	is_int((intmax_t)size[1], 0, "one that is away gets none");
	control_close(&world.control);
}

/* A reload keeps what was learnt, under the new wish. */
static void reload(void)
{
	struct world old, fresh;

	open_world(&old, BUDGET, GUARD, 2);
	for (int i = 0; i < 5; i++) {
		old.now_ns += GUARD;
		old.facts[1].inflow_bytes = 20 * MB;
		control_tick(&old.control, old.now_ns, old.facts, old.orders);
	}
	open_world(&fresh, 2 * BUDGET, GUARD, 3);
	control_adopt(&fresh.control, 2, &old.control, 1);
	ok(!control_tick(&fresh.control, old.now_ns + GUARD, fresh.facts, fresh.orders),
	   "the period goes on");
	ok(fresh.orders[2].headroom_bytes > 45 * MB, "what was learnt is kept");
	is_int((intmax_t)fresh.orders[0].headroom_bytes, 8 * MB, "a new space starts cold");
	control_close(&old.control);
	control_close(&fresh.control);
}

int main(void)
{
	wishes();
	guard();
	late_looks();
	adversary("guard", BUDGET, GUARD, N, 0);
	adversary("refusals", BUDGET, GUARD, N, 8);
	adversary("no guard", BUDGET, 0, N, 2);
	adversary("one, no budget", 0, GUARD, 1, 2);
	hoarder();
	deadlock();
	hoarder_of_a_part();
	freed_by_what_it_delivered();
	absent_and_refused();
	away_and_back();
	failsafe();
	failsafe_quiet();
	failsafe_greedy();
	reload();
	is_str(control_reason_name(CONTROL_PAYBACK * 100), "unknown", "no name for no reason");
	ok(control_alarm_text(CONTROL_CPU_BOUND) != control_alarm_text(CONTROL_DEADLOCK),
	   "alarms have words");
	return done_testing();
}
