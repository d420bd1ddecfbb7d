#pragma once

#include <stddef.h>
#include <stdint.h>

#define SIM_STEPS_MAX 6

/* How many jobs a second arrive. */
enum sim_shape {
	SIM_EVEN,    /* one every second, all alike, no chance in it */
	SIM_STEPS,   /* step[], each an equal share of the run */
	SIM_SINE,    /* base (1 + swing sin(2 pi (t - lag_s) / cycle_s)) */
	SIM_FLASH,   /* base, to peak at at_s[] for hold_s, then decaying with tau_s */
	SIM_SWITCHED /* Markov-modulated: base and peak in turn, mean stays stay_s[] */
};

/* What one VM is given to do. Sizes are lognormal, or Pareto where exponent > 0. */
struct sim_load {
	enum sim_shape shape;
	unsigned int nsteps;
	double step[SIM_STEPS_MAX];
	double base, peak;
	double swing, cycle_s, lag_s;
	double at_s[2], hold_s, tau_s;
	double stay_s[2];
	double size_mean, size_cv, size_exponent, size_cap;
};

struct sim_job {
	uint64_t arrival_us, size_bytes, service_us;
};

struct sim_jobs {
	struct sim_job *job;
	size_t count;
};

/*
 * Draw all arrivals before duration_s, in order of arrival. Returns 0 or -ENOMEM; the list is the
 * caller's, to be given to sim_jobs_close(), also after a failure.
 */
int sim_jobs_init(struct sim_jobs *jobs, const struct sim_load *load, double duration_s,
		  uint64_t seed);
void sim_jobs_close(struct sim_jobs *jobs);

/* FNV-1a-64 over arrival, size and service of every job, each as a little-endian u64. */
uint64_t sim_jobs_hash(const struct sim_jobs *jobs);

#define SIM_HASH_START 0xcbf29ce484222325u
uint64_t sim_hash_u64(uint64_t hash, uint64_t value);
