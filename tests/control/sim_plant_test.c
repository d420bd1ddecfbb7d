#include "control/sim_plant.h"

#include <errno.h>

#include "control/sim_scenario.h"
#include "tests/control/data.h"
#include "tests/tap.h"

#define STEPS 360000

struct golden {
	char scenario[8];
	unsigned long size_mb;
	unsigned long long fnv, mean_used, done, blocked_us;
};

static void set_rates(struct sim_plant *plant, const struct sim_scenario *scenario, uint64_t step)
{
	uint64_t now_us = step * SIM_STEP_US;
	int slow =
		now_us >= scenario->trouble.slow_from_us && now_us < scenario->trouble.slow_to_us;

	plant->vm.drain_bps = scenario->vm[0].vm.drain_bps >> slow;
	plant->vm.client_bps = scenario->vm[0].vm.client_bps >> slow;
}

static void check_golden(const struct golden *want)
{
	const struct sim_scenario *scenario = sim_scenario_find(want->scenario);
	unsigned long long sum = 0, blocked_us = 0;
	struct sim_plant plant;
	struct sim_jobs jobs;

	sim_jobs_init(&jobs, scenario->vm[0].load, SIM_DURATION_S, 1);
	sim_plant_init(&plant, &scenario->vm[0].vm, &jobs, want->size_mb * 1000000);
	for (uint64_t step = 0; step < STEPS; step++) {
		set_rates(&plant, scenario, step);
		sim_plant_step(&plant);
		sum += plant.used_bytes;
	}
	for (size_t i = 0; i < jobs.count; i++)
		blocked_us += plant.outcome[i].blocked_us;
	ok(sim_plant_hash(&plant) == want->fnv, "%s in %lu MB: every start, end and wait",
	   want->scenario, want->size_mb);
	is_int((intmax_t)(sum / STEPS), (intmax_t)want->mean_used, "%s: mean use", want->scenario);
	is_int((intmax_t)plant.counts.completed, (intmax_t)want->done, "%s: jobs done",
	       want->scenario);
	is_int((intmax_t)blocked_us, (intmax_t)want->blocked_us, "%s: time blocked",
	       want->scenario);
	sim_plant_close(&plant);
	sim_jobs_close(&jobs);
}

static void golden(void)
{
	FILE *file = data_open("plant-golden.txt");
	struct golden want;
	unsigned int seen = 0;

	while (fscanf(file,
		      "%7s M=%lu MB: fnv(start|end|blocked) %llx meanQ %llu done %llu blocked_us "
		      "%llu\n",
		      want.scenario, &want.size_mb, &want.fnv, &want.mean_used, &want.done,
		      &want.blocked_us) == 6) {
		check_golden(&want);
		seen++;
	}
	fclose(file);
	is_int(seen, 7, "runs in plant-golden.txt");
}

static void resizing(void)
{
	struct sim_job job = {0, 40960, 10000};
	struct sim_jobs jobs = {&job, 1};
	struct sim_vm vm = {.workers = 1};
	struct sim_plant plant;

	sim_plant_init(&plant, &vm, &jobs, 1 << 20);
	sim_plant_step(&plant);
	is_int((intmax_t)plant.used_bytes, 40960, "one step writes the object");
	is_int(sim_plant_resize(&plant, 40959), -EBUSY, "no size below the use");
	is_int(sim_plant_resize(&plant, 40960), 0, "the use itself is allowed");
	is_int((intmax_t)plant.outcome[0].end_us, SIM_STEP_US, "a job ends with its step");
	sim_plant_close(&plant);
}

int main(void)
{
	golden();
	resizing();
	return done_testing();
}
