#pragma once

#include "control/sim_plant.h"

#define SIM_DURATION_S 3600
#define SIM_VMS_MAX    8

/* One VM of a scenario: its load, its drain, and what it asks of the controller. */
struct sim_member {
	const struct sim_load *load;
	struct sim_vm vm;
	uint64_t slo_us; /* the 95th percentile of the response time stays below */
	uint64_t min_bytes, max_bytes;
	double weight;
};

/* What goes wrong in a scenario, beside the load. */
struct sim_trouble {
	uint64_t slow_from_us, slow_to_us; /* drain and client rates halved; 0: never */
	bool records_bad;		   /* lost, late, nonsense, absent, lies: see S8 */
	const uint64_t *kills_us;	   /* the controller dies at these times; ends with 0 */
};

struct sim_scenario {
	const char *name, *about;
	unsigned int nvms;
	struct sim_trouble trouble;
	struct sim_member vm[SIM_VMS_MAX];
};

/* All scenarios, ending with one whose name is NULL. */
extern const struct sim_scenario sim_scenarios[];

/* NULL if there is none of this name. */
const struct sim_scenario *sim_scenario_find(const char *name);

/* The seed of a VM's jobs: the run's own for a single VM, 1000 seed + i for the i-th of several. */
uint64_t sim_scenario_seed(const struct sim_scenario *scenario, unsigned int vm, uint64_t seed);
