#include "control/sim_profile.h"

#include <string.h>

void sim_profile_init(struct sim_profile *profile, uint64_t seed)
{
	memset(profile, 0, sizeof(*profile));
	sim_random_init(&profile->rng, seed * 104729 + 5);
}

static struct job_record true_record(const struct sim_plant *plant, size_t job)
{
	const struct sim_outcome *outcome = &plant->outcome[job];

	return (struct job_record){
		.arrival_ns = (int64_t)plant->jobs->job[job].arrival_us * 1000,
		.start_ns = (int64_t)outcome->start_us * 1000,
		.end_ns = (int64_t)outcome->end_us * 1000,
		.out_bytes = plant->jobs->job[job].size_bytes,
		.blocked_ns = (int64_t)outcome->blocked_us * 1000,
	};
}

static struct job_record nonsense(struct sim_random *rng)
{
	return (struct job_record){
		.arrival_ns = (int64_t)sim_random_next(rng),
		.start_ns = (int64_t)sim_random_next(rng),
		.end_ns = (int64_t)sim_random_next(rng),
		.out_bytes = sim_random_next(rng),
		.blocked_ns = (int64_t)sim_random_next(rng),
	};
}

static struct job_record lie(struct job_record record)
{
	record.arrival_ns -= INT64_C(30000000000);
	record.start_ns = record.arrival_ns;
	record.blocked_ns = record.end_ns - record.arrival_ns;
	return record;
}

static void delay(struct sim_profile *profile, struct job_record record, uint64_t due_us)
{
	if (profile->ndelayed < SIM_RECORDS)
		profile->delayed[profile->ndelayed++] = (struct sim_delayed){record, due_us};
}

/* One record of an unreliable guest: 1 if there is one to hand over now. */
static size_t distort(struct sim_profile *profile, struct job_record *record, uint64_t now_us)
{
	double luck = sim_random_uniform(&profile->rng);

	if (luck < 0.2)
		return 0;
	if (luck < 0.5) {
		delay(profile, *record,
		      now_us + (uint64_t)(1e7 * sim_random_uniform(&profile->rng)));
		return 0;
	}
	if (luck < 0.55)
		*record = nonsense(&profile->rng);
	return 1;
}

static size_t due_records(struct sim_profile *profile, uint64_t now_us)
{
	size_t n = 0;

	for (unsigned int i = 0; i < profile->ndelayed;) {
		if (profile->delayed[i].due_us > now_us) {
			i++;
			continue;
		}
		profile->record[n++] = profile->delayed[i].record;
		profile->delayed[i] = profile->delayed[--profile->ndelayed];
	}
	return n;
}

static size_t take_records(struct sim_profile *profile, const struct sim_plant *plant,
			   enum sim_honesty honesty)
{
	uint64_t now_us = plant->step * SIM_STEP_US;
	size_t n = due_records(profile, now_us);

	for (; profile->reported < plant->nfinished; profile->reported++) {
		struct job_record *record = &profile->record[n];

		if (n == 2 * SIM_RECORDS || honesty == SIM_SILENT)
			continue;
		*record = true_record(plant, plant->finished[profile->reported]);
		if (honesty == SIM_LYING)
			*record = lie(*record);
		n += honesty == SIM_UNRELIABLE ? distort(profile, record, now_us) : 1;
	}
	return n;
}

static void count_completed(const struct sim_profile *profile, const struct sim_plant *plant,
			    struct control_facts *facts)
{
	for (size_t i = profile->reported; i < plant->nfinished; i++) {
		double size = (double)plant->jobs->job[plant->finished[i]].size_bytes;

		facts->completed++;
		facts->completed_bytes += size;
		facts->completed_bytes2 += size * size;
	}
}

void sim_profile_look(struct sim_profile *profile, const struct sim_plant *plant,
		      enum sim_honesty honesty, struct control_facts *facts)
{
	const struct sim_counts *now = &plant->counts, *before = &profile->before;

	*facts = (struct control_facts){
		.size_bytes = plant->size_bytes,
		.used_bytes = plant->used_bytes,
		.inflow_bytes = now->inflow_bytes - before->inflow_bytes,
		.delivered_bytes = now->delivered_bytes - before->delivered_bytes,
		.freed_bytes = now->freed_bytes - before->freed_bytes,
		.cpu_busy = (double)plant->growing / plant->vm.workers,
		.started = (unsigned int)(now->started - before->started),
		.growing = plant->growing,
		.deliverable = sim_plant_complete(plant),
		.drain_bps = (double)plant->vm.drain_bps,
		.client_bps = (double)plant->vm.client_bps,
		.full = plant->full,
	};
	count_completed(profile, plant, facts);
	facts->nrecords = take_records(profile, plant, honesty);
	facts->record = profile->record;
	profile->before = *now;
}
