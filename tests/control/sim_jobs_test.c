#include "control/sim_jobs.h"

#include "control/sim_random.h"
#include "control/sim_scenario.h"
#include "tests/control/data.h"
#include "tests/tap.h"

/* splitmix64's first outputs for seed 0, from its author's page and java.util.SplittableRandom. */
static void generator(void)
{
	struct sim_random rng;
	double u;

	sim_random_init(&rng, 0);
	ok(sim_random_next(&rng) == 0xe220a8397b1dcdafu, "splitmix64, first of seed 0");
	ok(sim_random_next(&rng) == 0x6e789e6aa1b965f4u, "splitmix64, second of seed 0");
	u = sim_random_uniform(&rng);
	ok(u > 0 && u < 1, "uniform within (0, 1)");
}

static void job_lists(void)
{
	FILE *file = data_open("reference.csv");
	struct reference want;
	unsigned int seen = 0;

	while (reference_next(file, &want)) {
		const struct sim_scenario *scenario = sim_scenario_find(want.scenario);
		struct sim_jobs jobs;

		seen++;
		is_int(sim_jobs_init(&jobs, scenario->vm[0].load, SIM_DURATION_S, want.seed), 0,
		       "%s seed %lu is drawn", want.scenario, want.seed);
		is_int((intmax_t)jobs.count, (intmax_t)want.jobs, "%s seed %lu: number of jobs",
		       want.scenario, want.seed);
		ok(sim_jobs_hash(&jobs) == want.fnv, "%s seed %lu: the very jobs", want.scenario,
		   want.seed);
		sim_jobs_close(&jobs);
	}
	fclose(file);
	is_int(seen, 39, "scenarios and seeds in reference.csv");
}

static void seeds_of_many(void)
{
	is_int((intmax_t)sim_scenario_seed(sim_scenario_find("S1"), 0, 7), 7, "one VM: the seed");
	is_int((intmax_t)sim_scenario_seed(sim_scenario_find("M8"), 3, 7), 7003,
	       "eight: 1000 seed + i");
}

int main(void)
{
	generator();
	job_lists();
	seeds_of_many();
	return done_testing();
}
