/*
 * A run: plants in steps of 10 ms, and a policy that looks at them every guard interval, as the
 * live loop would, through sim_profile. Each scenario runs twice, the first time with max memory:
 * a window counts against the policy (xv) only if memory made the difference.
 */
#include "control/simulate.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control/budget.h"
#include "control/sim_profile.h"

#define STEPS_PER_S   100
#define STEPS	      (SIM_DURATION_S * STEPS_PER_S)
#define TRACK_STEPS   200
#define WINDOW_US     UINT64_C(60000000)
#define FIRST_US      UINT64_C(120000000)
#define LAST_US	      UINT64_C(3540000000)
#define WINDOWS	      57
#define WINDOW_JOBS   10
#define HOARD_US      UINT64_C(1200000000)
#define RESTART_STEPS 1500

static_assert(STEPS_PER_S * SIM_STEP_US == 1000000, "a second is whole steps");

struct verdicts {
	bool counted[WINDOWS], violated[WINDOWS];
};

struct run {
	const struct simulate_spec *spec;
	struct simulate_result *result;
	struct sim_jobs jobs[SIM_VMS_MAX];
	struct sim_plant plant[SIM_VMS_MAX];
	struct sim_profile profile[SIM_VMS_MAX];
	struct verdicts baseline[SIM_VMS_MAX];
	struct control control;
	struct control_facts facts[SIM_VMS_MAX];
	struct control_order orders[SIM_VMS_MAX];
	struct sim_random skip;
	int direction[SIM_VMS_MAX]; /* of the last resize */
	uint64_t absent_until;	    /* step at which a killed controller is back */
	unsigned int nkilled;
};

static const char *const policy_names[] = {"memnet", "static", "threshold"};
static_assert(sizeof(policy_names) / sizeof(*policy_names) == SIMULATE_NPOLICIES, "one each");

const char *simulate_policy_name(enum simulate_policy policy)
{
	return (unsigned int)policy < SIMULATE_NPOLICIES ? policy_names[policy] : NULL;
}

struct simulate_spec simulate_spec_default(const struct sim_scenario *scenario, uint64_t seed)
{
	return (struct simulate_spec){
		.scenario = scenario,
		.seed = seed,
		.tuning = control_tuning_default(),
	};
}

/* ---- trouble ---- */

static void trouble_plants(struct run *run, uint64_t step)
{
	const struct sim_trouble *trouble = &run->spec->scenario->trouble;
	uint64_t now_us = step * SIM_STEP_US;

	for (unsigned int i = 0; i < run->result->nvms; i++) {
		const struct sim_vm *vm = &run->spec->scenario->vm[i].vm;
		bool slow = now_us >= trouble->slow_from_us && now_us < trouble->slow_to_us;
		bool hoards = run->spec->hoarder == i + 1 && now_us >= HOARD_US;

		run->plant[i].vm.drain_bps = hoards ? 0 : slow ? vm->drain_bps / 2 : vm->drain_bps;
		run->plant[i].vm.client_bps = slow ? vm->client_bps / 2 : vm->client_bps;
	}
}

static enum sim_honesty honesty(const struct run *run, unsigned int vm)
{
	uint64_t now_s = run->plant[vm].step * SIM_STEP_US / 1000000;

	if (run->spec->liar == vm + 1)
		return SIM_LYING;
	if (!run->spec->scenario->trouble.records_bad)
		return SIM_TRUTHFUL;
	return now_s < 1800 ? SIM_UNRELIABLE : now_s < 2400 ? SIM_SILENT : SIM_LYING;
}

/* ---- policies ---- */

static int resize_plant(void *cookie, size_t space, uint64_t *size_bytes)
{
	struct run *run = cookie;
	struct simulate_vm *vm = &run->result->vm[space];
	int direction = *size_bytes > run->plant[space].size_bytes ? 1 : -1;
	int err = sim_plant_resize(&run->plant[space], *size_bytes);

	if (err)
		return err;
	vm->resizes++;
	vm->reversals += run->direction[space] == -direction;
	run->direction[space] = direction;
	return 0;
}

static void order_threshold(struct run *run)
{
	for (unsigned int i = 0; i < run->result->nvms; i++) {
		const struct sim_member *member = &run->spec->scenario->vm[i];
		double used = (double)run->facts[i].used_bytes;
		double part = used / (double)run->facts[i].size_bytes;
		double size = (double)run->facts[i].size_bytes;

		if (part > 0.8 || part < 0.4)
			size = used / 0.6;
		size = fmin((double)member->max_bytes, fmax((double)member->min_bytes, size));
		run->orders[i] = (struct control_order){.size_bytes = (uint64_t)size};
	}
}

static void look(struct run *run)
{
	for (unsigned int i = 0; i < run->result->nvms; i++)
		sim_profile_look(&run->profile[i], &run->plant[i], honesty(run, i), &run->facts[i]);
}

static void check_budget(struct run *run)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < run->result->nvms; i++)
		sum += run->plant[i].size_bytes;
	run->result->ticks++;
	if (run->spec->tuning.budget_bytes && sum > run->spec->tuning.budget_bytes)
		run->result->over_budget++;
}

static void tick_memnet(struct run *run, uint64_t step)
{
	look(run);
	control_tick(&run->control, step * SIM_STEP_US * 1000, run->facts, run->orders);
	control_apply(&run->control, run->facts, run->orders, resize_plant, run);
	for (unsigned int i = 0; i < run->result->nvms; i++) {
		run->plant[i].growing_limit = run->orders[i].growing_limit;
		run->result->alarms |= run->orders[i].alarms;
	}
}

static void tick_threshold(struct run *run)
{
	look(run);
	order_threshold(run);
	control_apply(&run->control, run->facts, run->orders, resize_plant, run);
}

static uint64_t steps_of(uint64_t ns)
{
	return ns / (SIM_STEP_US * UINT64_C(1000));
}

static bool tick_due(struct run *run, uint64_t step)
{
	const struct control_tuning *t = &run->spec->tuning;
	uint64_t period = steps_of(t->period_ns), guard = steps_of(t->guard_ns);

	if (step % period == 0)
		return true;
	if (!guard || step % guard || run->spec->policy != SIMULATE_MEMNET)
		return false;
	return run->spec->skip <= 0 || sim_random_uniform(&run->skip) >= run->spec->skip;
}

static int open_control(struct run *run)
{
	const struct sim_scenario *scenario = run->spec->scenario;
	struct control_wish wish[SIM_VMS_MAX];

	for (unsigned int i = 0; i < scenario->nvms; i++)
		wish[i] = (struct control_wish){
			.min_bytes = scenario->vm[i].min_bytes,
			.max_bytes = scenario->vm[i].max_bytes,
			.weight = scenario->vm[i].weight,
			.slo_ns = scenario->vm[i].slo_us * 1000,
			.slo_share = 0.95,
			.ttl_s = (double)scenario->vm[i].vm.ttl_us / 1e6,
			.punched = scenario->vm[i].vm.punch,
		};
	return control_init(&run->control, &run->spec->tuning, wish, scenario->nvms);
}

/* The controller dies; its watchdog leaves safe sizes, and a new one knows nothing. */
static int kill_control(struct run *run, uint64_t step)
{
	uint64_t safe_bytes[SIM_VMS_MAX] = {0};

	look(run);
	control_failsafe(&run->control, run->facts, safe_bytes);
	for (unsigned int i = 0; i < run->result->nvms; i++) {
		run->orders[i] = (struct control_order){.size_bytes = safe_bytes[i],
							.reason = CONTROL_FAILSAFE};
		run->plant[i].growing_limit = UINT32_MAX;
	}
	control_apply(&run->control, run->facts, run->orders, resize_plant, run);
	control_close(&run->control);
	run->absent_until = step + RESTART_STEPS;
	run->nkilled++;
	return open_control(run);
}

static bool kill_due(const struct run *run, uint64_t step)
{
	const uint64_t *kills_us = run->spec->scenario->trouble.kills_us;

	return kills_us && run->spec->policy == SIMULATE_MEMNET && kills_us[run->nkilled] &&
	       step * SIM_STEP_US >= kills_us[run->nkilled];
}

static int act(struct run *run, uint64_t step)
{
	int err = 0;

	if (kill_due(run, step))
		err = kill_control(run, step);
	if (err || run->spec->policy == SIMULATE_STATIC || step < run->absent_until ||
	    !tick_due(run, step))
		return err;
	if (run->spec->policy == SIMULATE_MEMNET)
		tick_memnet(run, step);
	else
		tick_threshold(run);
	check_budget(run);
	return 0;
}

/* ---- what came of it ---- */

static void judge(const struct sim_plant *plant, uint64_t slo_us, struct verdicts *verdicts)
{
	unsigned int jobs[WINDOWS] = {0}, late[WINDOWS] = {0};

	for (size_t i = 0; i < plant->jobs->count; i++) {
		uint64_t arrival_us = plant->jobs->job[i].arrival_us;
		uint64_t end_us = plant->outcome[i].end_us, window;

		if (arrival_us < FIRST_US || arrival_us >= LAST_US)
			continue;
		window = (arrival_us - FIRST_US) / WINDOW_US;
		jobs[window]++;
		late[window] += end_us == SIM_NEVER || end_us - arrival_us > slo_us;
	}
	for (unsigned int i = 0; i < WINDOWS; i++) {
		/* n - ceil(0.95 n), in whole numbers */
		unsigned int allowed = jobs[i] - (95 * jobs[i] + 99) / 100;

		verdicts->counted[i] = jobs[i] >= WINDOW_JOBS;
		verdicts->violated[i] = verdicts->counted[i] && late[i] > allowed;
	}
}

static void compare(const struct verdicts *baseline, const struct verdicts *mine,
		    struct simulate_vm *vm)
{
	for (unsigned int i = 0; i < WINDOWS; i++) {
		vm->windows += mine->counted[i];
		vm->violated += mine->violated[i];
		vm->xv += mine->violated[i] && !baseline->violated[i];
	}
}

static int open_plants(struct run *run, bool unlimited)
{
	const struct simulate_spec *spec = run->spec;
	double sum_min = 0, sum_weight = 0;
	int err = 0;

	for (unsigned int i = 0; i < run->result->nvms; i++) {
		sum_min += (double)spec->scenario->vm[i].min_bytes;
		sum_weight += spec->scenario->vm[i].weight;
	}
	for (unsigned int i = 0; i < run->result->nvms && !err; i++) {
		const struct sim_member *member = &spec->scenario->vm[i];
		uint64_t size = unlimited ? member->max_bytes : member->min_bytes;

		if (!unlimited && spec->policy == SIMULATE_STATIC) {
			size = spec->static_bytes ? spec->static_bytes : member->max_bytes;
			if (spec->tuning.budget_bytes)
				size = (uint64_t)budget_entitlement(
					(double)member->min_bytes, member->weight, sum_min,
					sum_weight, (double)spec->tuning.budget_bytes);
		}
		sim_profile_init(&run->profile[i], spec->seed * 8 + i);
		err = sim_plant_init(&run->plant[i], &member->vm, &run->jobs[i], size);
	}
	return err;
}

static void close_plants(struct run *run)
{
	for (unsigned int i = 0; i < run->result->nvms; i++)
		sim_plant_close(&run->plant[i]);
}

static void run_unlimited(struct run *run)
{
	struct simulate_result *result = run->result;
	uint64_t peak[SIM_VMS_MAX] = {0}, together;

	for (uint64_t step = 0; step < STEPS; step++) {
		trouble_plants(run, step);
		for (unsigned int i = 0; i < result->nvms; i++) {
			struct sim_plant *plant = &run->plant[i];

			sim_plant_step(plant);
			result->vm[i].unlimited_mean_bytes += (double)plant->used_bytes / STEPS;
			if (plant->used_bytes > peak[i])
				peak[i] = plant->used_bytes;
		}
		if (step % TRACK_STEPS != TRACK_STEPS - 1)
			continue;
		together = 0;
		for (unsigned int i = 0; i < result->nvms; i++) {
			uint64_t min = run->spec->scenario->vm[i].min_bytes;

			if (peak[i] > result->vm[i].unlimited_peak_bytes)
				result->vm[i].unlimited_peak_bytes = peak[i];
			peak[i] = peak[i] > min ? peak[i] : min;
			result->vm[i].unlimited_track_bytes +=
				(double)peak[i] * TRACK_STEPS / STEPS;
			together += peak[i];
			peak[i] = 0;
		}
		if (together > result->clairvoyant_bytes)
			result->clairvoyant_bytes = together;
	}
}

static int run_policy(struct run *run)
{
	uint64_t sum;

	for (uint64_t step = 0; step < STEPS; step++) {
		int err = act(run, step);

		if (err)
			return err;
		trouble_plants(run, step);
		sum = 0;
		for (unsigned int i = 0; i < run->result->nvms; i++) {
			struct simulate_vm *vm = &run->result->vm[i];
			struct sim_plant *plant = &run->plant[i];

			sim_plant_step(plant);
			sum += plant->size_bytes;
			vm->mean_bytes += (double)plant->size_bytes / STEPS;
			vm->used_mean_bytes += (double)plant->used_bytes / STEPS;
			if (plant->size_bytes > vm->peak_bytes)
				vm->peak_bytes = plant->size_bytes;
		}
		if (sum > run->result->total.peak_bytes)
			run->result->total.peak_bytes = sum;
	}
	return 0;
}

static void add_up(struct simulate_result *result)
{
	struct simulate_vm *total = &result->total;

	total->jobs_fnv = SIM_HASH_START;
	for (unsigned int i = 0; i < result->nvms; i++) {
		const struct simulate_vm *vm = &result->vm[i];

		total->jobs += vm->jobs;
		total->jobs_fnv = sim_hash_u64(total->jobs_fnv, vm->jobs_fnv);
		total->windows += vm->windows;
		total->violated += vm->violated;
		total->xv += vm->xv;
		total->mean_bytes += vm->mean_bytes;
		total->used_mean_bytes += vm->used_mean_bytes;
		total->resizes += vm->resizes;
		total->reversals += vm->reversals;
		total->unlimited_mean_bytes += vm->unlimited_mean_bytes;
		total->unlimited_track_bytes += vm->unlimited_track_bytes;
		total->unlimited_peak_bytes += vm->unlimited_peak_bytes;
	}
	if (result->nvms == 1)
		total->jobs_fnv = result->vm[0].jobs_fnv;
}

static void judge_all(struct run *run, bool unlimited)
{
	for (unsigned int i = 0; i < run->result->nvms; i++) {
		uint64_t slo_us = run->spec->scenario->vm[i].slo_us;
		struct verdicts mine;

		judge(&run->plant[i], slo_us, unlimited ? &run->baseline[i] : &mine);
		if (!unlimited)
			compare(&run->baseline[i], &mine, &run->result->vm[i]);
	}
}

static int run_twice(struct run *run)
{
	const struct simulate_spec *spec = run->spec;
	int err = 0;

	for (unsigned int i = 0; i < run->result->nvms && !err; i++) {
		err = sim_jobs_init(&run->jobs[i], spec->scenario->vm[i].load, SIM_DURATION_S,
				    sim_scenario_seed(spec->scenario, i, spec->seed));
		run->result->vm[i].jobs = run->jobs[i].count;
		run->result->vm[i].jobs_fnv = sim_jobs_hash(&run->jobs[i]);
	}
	if (!err)
		err = open_plants(run, true);
	if (err)
		return err;
	run_unlimited(run);
	judge_all(run, true);
	close_plants(run);
	err = open_plants(run, false);
	if (!err)
		err = run_policy(run);
	if (!err)
		judge_all(run, false);
	return err;
}

/* Several VMs share a budget: without one given, as much as they could ever take. */
static void default_budget(struct simulate_spec *spec)
{
	if (spec->tuning.budget_bytes || spec->scenario->nvms == 1)
		return;
	for (unsigned int i = 0; i < spec->scenario->nvms; i++)
		spec->tuning.budget_bytes += spec->scenario->vm[i].max_bytes;
}

int simulate(const struct simulate_spec *given, struct simulate_result *result)
{
	struct run *run = calloc(1, sizeof(*run));
	struct simulate_spec spec = *given;
	int err;

	memset(result, 0, sizeof(*result));
	if (!run)
		return -ENOMEM;
	if (spec.hoarder > spec.scenario->nvms || spec.liar > spec.scenario->nvms) {
		free(run);
		return -EINVAL;
	}
	default_budget(&spec);
	result->nvms = spec.scenario->nvms;
	run->spec = &spec;
	run->result = result;
	sim_random_init(&run->skip, spec.seed * 31337 + 11);
	err = open_control(run);
	if (!err)
		err = run_twice(run);
	if (!err)
		add_up(result);
	close_plants(run);
	for (unsigned int i = 0; i < result->nvms; i++)
		sim_jobs_close(&run->jobs[i]);
	control_close(&run->control);
	free(run);
	return err;
}
