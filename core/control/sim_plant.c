/*
 * The plant: jobs queue for workers, workers write objects into a space of limited size, a drain
 * delivers them, and delivered objects are released. Everything is integer arithmetic in steps of
 * 10 ms, so that a run has one result on every machine.
 *
 * A worker that finds too little room gets what there is and loses the rest of its step: it stands
 * still for the missing share, rounded up. The drain shares its rate evenly over the objects that
 * have bytes waiting; what one cannot use passes on to those created after it.
 */
#include "control/sim_plant.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_PER_S (1000000 / SIM_STEP_US)

struct sim_object {
	uint64_t size_bytes, produced, delivered;
	uint64_t release_us; /* SIM_NEVER until delivered to the last byte */
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int sim_plant_init(struct sim_plant *plant, const struct sim_vm *vm, const struct sim_jobs *jobs,
		   uint64_t size_bytes)
{
	memset(plant, 0, sizeof(*plant));
	plant->vm = *vm;
	plant->jobs = jobs;
	plant->size_bytes = size_bytes;
	plant->growing_limit = UINT_MAX;
	plant->outcome = calloc(jobs->count + 1, sizeof(*plant->outcome));
	plant->object = calloc(jobs->count + 1, sizeof(*plant->object));
	plant->finished = calloc(jobs->count + 1, sizeof(*plant->finished));
	if (!plant->outcome || !plant->object || !plant->finished)
		return -ENOMEM;
	for (size_t i = 0; i < jobs->count; i++)
		plant->outcome[i] = (struct sim_outcome){SIM_NEVER, SIM_NEVER, 0};
	return 0;
}

void sim_plant_close(struct sim_plant *plant)
{
	free(plant->outcome);
	free(plant->object);
	free(plant->finished);
	memset(plant, 0, sizeof(*plant));
}

static void start_job(struct sim_plant *plant, struct sim_worker *worker, uint64_t now_us)
{
	size_t job = plant->taken++;

	plant->object[plant->nobjects] = (struct sim_object){
		.size_bytes = plant->jobs->job[job].size_bytes,
		.release_us = SIM_NEVER,
	};
	*worker = (struct sim_worker){.busy = true, .job = job, .object = plant->nobjects++};
	plant->outcome[job].start_us = now_us;
	plant->growing++;
	plant->counts.started++;
}

static void start_jobs(struct sim_plant *plant, uint64_t now_us)
{
	const struct sim_jobs *jobs = plant->jobs;

	while (plant->arrived < jobs->count && jobs->job[plant->arrived].arrival_us <= now_us)
		plant->arrived++;
	for (unsigned int i = 0; i < plant->vm.workers && plant->taken < plant->arrived; i++)
		if (!plant->worker[i].busy && plant->growing < plant->growing_limit)
			start_job(plant, &plant->worker[i], now_us);
}

static void finish_job(struct sim_plant *plant, struct sim_worker *worker, uint64_t now_us)
{
	plant->outcome[worker->job].end_us = now_us + SIM_STEP_US;
	plant->finished[plant->nfinished++] = worker->job;
	worker->busy = false;
	plant->growing--;
	plant->counts.completed++;
}

static void work(struct sim_plant *plant, struct sim_worker *worker, uint64_t now_us)
{
	const struct sim_job *job = &plant->jobs->job[worker->job];
	struct sim_object *object = &plant->object[worker->object];
	uint64_t served_us = least(worker->served_us + SIM_STEP_US, job->service_us);
	/* Products stay below 2^63: objects below 10 GB, services below 900 s. */
	uint64_t target = job->size_bytes * served_us / job->service_us;
	uint64_t want = target > object->produced ? target - object->produced : 0;
	uint64_t grant = least(want, plant->size_bytes - plant->used_bytes);

	object->produced += grant;
	plant->used_bytes += grant;
	plant->counts.inflow_bytes += grant;
	if (grant < want) {
		uint64_t moved_us = SIM_STEP_US * grant / want;

		worker->served_us += moved_us;
		plant->outcome[worker->job].blocked_us += SIM_STEP_US - moved_us;
		plant->full = true;
	} else {
		worker->served_us = served_us;
	}
	if (object->produced == object->size_bytes)
		finish_job(plant, worker, now_us);
}

static void free_bytes(struct sim_plant *plant, uint64_t bytes)
{
	plant->used_bytes -= bytes;
	plant->counts.freed_bytes += bytes;
}

static void deliver(struct sim_plant *plant, uint64_t now_us)
{
	uint64_t left = plant->vm.drain_bps / STEPS_PER_S;
	uint64_t client = plant->vm.client_bps / STEPS_PER_S;
	unsigned int waiting = 0;

	for (size_t i = 0; i < plant->nobjects; i++)
		waiting += plant->object[i].delivered < plant->object[i].produced;
	for (size_t i = 0; i < plant->nobjects; i++) {
		struct sim_object *object = &plant->object[i];
		uint64_t bytes = object->produced - object->delivered;

		if (!bytes)
			continue;
		assert(waiting); /* each that has bytes was counted above */
		bytes = least(bytes, least(client, left / waiting--));
		left -= bytes;
		object->delivered += bytes;
		plant->counts.delivered_bytes += bytes;
		if (plant->vm.punch)
			free_bytes(plant, bytes);
		if (object->delivered == object->size_bytes)
			object->release_us = now_us + plant->vm.ttl_us;
	}
}

static void forget_object(struct sim_plant *plant, size_t gone)
{
	plant->nobjects--;
	memmove(&plant->object[gone], &plant->object[gone + 1],
		(plant->nobjects - gone) * sizeof(*plant->object));
	for (unsigned int i = 0; i < plant->vm.workers; i++)
		if (plant->worker[i].busy && plant->worker[i].object > gone)
			plant->worker[i].object--;
}

static void release(struct sim_plant *plant, uint64_t now_us)
{
	for (size_t i = 0; i < plant->nobjects;) {
		if (plant->object[i].release_us > now_us) {
			i++;
			continue;
		}
		if (!plant->vm.punch)
			free_bytes(plant, plant->object[i].size_bytes);
		forget_object(plant, i);
	}
}

void sim_plant_step(struct sim_plant *plant)
{
	unsigned int workers = plant->vm.workers;
	uint64_t now_us = plant->step * SIM_STEP_US;

	plant->full = false;
	start_jobs(plant, now_us);
	for (unsigned int i = 0; i < workers; i++) {
		struct sim_worker *worker = &plant->worker[(plant->step + i) % workers];

		if (worker->busy)
			work(plant, worker, now_us);
	}
	deliver(plant, now_us);
	release(plant, now_us);
	plant->step++;
}

int sim_plant_resize(struct sim_plant *plant, uint64_t size_bytes)
{
	if (size_bytes < plant->used_bytes)
		return -EBUSY;
	plant->size_bytes = size_bytes;
	return 0;
}

unsigned int sim_plant_complete(const struct sim_plant *plant)
{
	unsigned int complete = 0;

	for (size_t i = 0; i < plant->nobjects; i++)
		complete += plant->object[i].produced == plant->object[i].size_bytes;
	return complete;
}

uint64_t sim_plant_hash(const struct sim_plant *plant)
{
	uint64_t hash = SIM_HASH_START;

	for (size_t i = 0; i < plant->jobs->count; i++)
		hash = sim_hash_u64(hash, plant->outcome[i].start_us);
	for (size_t i = 0; i < plant->jobs->count; i++)
		hash = sim_hash_u64(hash, plant->outcome[i].end_us);
	for (size_t i = 0; i < plant->jobs->count; i++)
		hash = sim_hash_u64(hash, plant->outcome[i].blocked_us);
	return hash;
}
