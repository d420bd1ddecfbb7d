#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/sim_jobs.h"

#define SIM_STEP_US	10000
#define SIM_WORKERS_MAX 16
#define SIM_NEVER	UINT64_MAX

/* How a VM and its drain behave. Rates may be changed between steps. */
struct sim_vm {
	unsigned int workers;
	uint64_t drain_bps, client_bps;
	uint64_t ttl_us; /* how long a delivered object stays */
	bool punch;	 /* delivered ranges are freed at once */
};

/* What became of a job; SIM_NEVER where it has not come to that. */
struct sim_outcome {
	uint64_t start_us, end_us, blocked_us;
};

/* Sums since the start, as a host could count them. */
struct sim_counts {
	uint64_t inflow_bytes, freed_bytes, delivered_bytes;
	uint64_t started, completed;
};

struct sim_object;

struct sim_worker {
	bool busy;
	size_t job, object;
	uint64_t served_us;
};

/* One VM, its space and its drain. Read the fields freely; change them through the functions. */
struct sim_plant {
	struct sim_vm vm;
	const struct sim_jobs *jobs;
	struct sim_outcome *outcome; /* one for each job */
	struct sim_worker worker[SIM_WORKERS_MAX];
	struct sim_object *object; /* in order of creation */
	size_t nobjects, arrived, taken;
	size_t *finished; /* jobs in order of their end */
	size_t nfinished;
	unsigned int growing, growing_limit;
	uint64_t step, size_bytes, used_bytes;
	struct sim_counts counts;
	bool full; /* a grant was short in the last step */
};

/* jobs must outlive the plant. Returns 0 or -ENOMEM; close the plant in either case. */
int sim_plant_init(struct sim_plant *plant, const struct sim_vm *vm, const struct sim_jobs *jobs,
		   uint64_t size_bytes);
void sim_plant_close(struct sim_plant *plant);

/* Advance by SIM_STEP_US. */
void sim_plant_step(struct sim_plant *plant);

/* As tmpfs does: -EBUSY below the present use. */
int sim_plant_resize(struct sim_plant *plant, uint64_t size_bytes);

/* Objects all of whose bytes are there, delivered or not. */
unsigned int sim_plant_complete(const struct sim_plant *plant);

/* FNV-1a-64 over all starts, then all ends, then all blocked times (microseconds). */
uint64_t sim_plant_hash(const struct sim_plant *plant);
