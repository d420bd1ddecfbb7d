/*
 * Job lists: a Poisson process of varying rate, by thinning. Candidates come at the highest rate
 * of the run and are kept with probability rate(t) / highest. The order of the draws is part of
 * the definition: gap, acceptance, size, service.
 */
#include "control/sim_jobs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "control/sim_random.h"

#define PAGE_BYTES     4096
#define WORKER_BPS     20e6
#define SERVICE_MIN_US 10000

/* The Markov-modulated rate has a generator of its own, so that it does not depend on the jobs. */
struct modulator {
	struct sim_random rng;
	unsigned int state;
	double until_s;
};

static void modulator_init(struct modulator *mod, const struct sim_load *load, uint64_t seed)
{
	sim_random_init(&mod->rng, seed * 7919 + 17);
	mod->state = 0;
	mod->until_s = load->stay_s[0] * sim_random_exponential(&mod->rng);
}

static double modulator_rate(struct modulator *mod, const struct sim_load *load, double t_s)
{
	while (t_s >= mod->until_s) {
		mod->state ^= 1;
		mod->until_s += load->stay_s[mod->state] * sim_random_exponential(&mod->rng);
	}
	return mod->state ? load->peak : load->base;
}

static double flash_rate(const struct sim_load *load, double t_s)
{
	double rate = load->base;

	for (int i = 0; i < 2; i++) {
		double since_s = t_s - load->at_s[i];

		if (load->at_s[i] <= 0 || since_s < 0)
			continue;
		if (since_s < load->hold_s)
			rate = load->peak;
		else
			rate = load->base + (load->peak - load->base) *
						    exp(-(since_s - load->hold_s) / load->tau_s);
	}
	return rate;
}

static double rate_at(const struct sim_load *load, struct modulator *mod, double t_s,
		      double duration_s)
{
	switch (load->shape) {
	case SIM_STEPS: {
		unsigned int i = (unsigned int)(t_s * load->nsteps / duration_s);

		return load->step[i < load->nsteps ? i : load->nsteps - 1];
	}
	case SIM_SINE:
		return load->base *
		       (1 + load->swing * sin(2 * M_PI * (t_s - load->lag_s) / load->cycle_s));
	case SIM_FLASH: return flash_rate(load, t_s);
	case SIM_SWITCHED: return modulator_rate(mod, load, t_s);
	case SIM_EVEN: break;
	}
	return 1;
}

static double highest_rate(const struct sim_load *load)
{
	double highest = 0;

	switch (load->shape) {
	case SIM_STEPS:
		for (unsigned int i = 0; i < load->nsteps; i++)
			highest = fmax(highest, load->step[i]);
		return highest;
	case SIM_SINE: return load->base * (1 + load->swing);
	case SIM_FLASH:
	case SIM_SWITCHED: return fmax(load->base, load->peak);
	case SIM_EVEN: break;
	}
	return 1;
}

static uint64_t whole_pages(double bytes)
{
	uint64_t size = (uint64_t)(bytes / PAGE_BYTES) * PAGE_BYTES;

	return size > PAGE_BYTES ? size : PAGE_BYTES;
}

static uint64_t draw_size(struct sim_random *rng, const struct sim_load *load)
{
	if (load->size_exponent > 0)
		return whole_pages(sim_random_pareto(rng, load->size_mean, load->size_exponent,
						     load->size_cap));
	return whole_pages(sim_random_lognormal(rng, load->size_mean, load->size_cv));
}

static uint64_t draw_service_us(struct sim_random *rng, uint64_t size_bytes)
{
	double luck = exp(0.3 * sim_random_normal(rng) - 0.045);
	uint64_t us = (uint64_t)((double)size_bytes / WORKER_BPS * luck * 1e6);

	return us > SERVICE_MIN_US ? us : SERVICE_MIN_US;
}

static int append(struct sim_jobs *jobs, size_t *room, struct sim_job job)
{
	if (jobs->count == *room) {
		size_t more = *room ? *room * 2 : 1024;
		struct sim_job *grown = realloc(jobs->job, more * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		jobs->job = grown;
		*room = more;
	}
	jobs->job[jobs->count++] = job;
	return 0;
}

static int draw_even(struct sim_jobs *jobs, const struct sim_load *load, double duration_s)
{
	struct sim_job job = {0, whole_pages(load->size_mean), 0};
	size_t room = 0;
	int err = 0;

	job.service_us = (uint64_t)(load->size_mean / WORKER_BPS * 1e6);
	for (; (double)job.arrival_us < duration_s * 1e6 && !err; job.arrival_us += 1000000)
		err = append(jobs, &room, job);
	return err;
}

static int draw_random(struct sim_jobs *jobs, const struct sim_load *load, double duration_s,
		       uint64_t seed)
{
	double highest = highest_rate(load), t_s = 0;
	struct sim_random rng;
	struct modulator mod;
	size_t room = 0;
	int err = 0;

	sim_random_init(&rng, seed);
	modulator_init(&mod, load, seed);
	while (!err) {
		struct sim_job job;

		t_s += sim_random_exponential(&rng) / highest;
		if (t_s >= duration_s)
			break;
		if (sim_random_uniform(&rng) * highest >= rate_at(load, &mod, t_s, duration_s))
			continue;
		job.arrival_us = (uint64_t)(t_s * 1e6);
		job.size_bytes = draw_size(&rng, load);
		job.service_us = draw_service_us(&rng, job.size_bytes);
		err = append(jobs, &room, job);
	}
	return err;
}

int sim_jobs_init(struct sim_jobs *jobs, const struct sim_load *load, double duration_s,
		  uint64_t seed)
{
	jobs->job = NULL;
	jobs->count = 0;
	if (load->shape == SIM_EVEN)
		return draw_even(jobs, load, duration_s);
	return draw_random(jobs, load, duration_s, seed);
}

void sim_jobs_close(struct sim_jobs *jobs)
{
	free(jobs->job);
	jobs->job = NULL;
	jobs->count = 0;
}

uint64_t sim_hash_u64(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++) {
		hash ^= (value >> (8 * i)) & 0xff;
		hash *= 0x100000001b3u;
	}
	return hash;
}

uint64_t sim_jobs_hash(const struct sim_jobs *jobs)
{
	uint64_t hash = SIM_HASH_START;

	for (size_t i = 0; i < jobs->count; i++) {
		hash = sim_hash_u64(hash, jobs->job[i].arrival_us);
		hash = sim_hash_u64(hash, jobs->job[i].size_bytes);
		hash = sim_hash_u64(hash, jobs->job[i].service_us);
	}
	return hash;
}
