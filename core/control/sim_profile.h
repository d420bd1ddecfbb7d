#pragma once

#include "control/orchestrator.h"
#include "control/sim_plant.h"
#include "control/sim_random.h"

/* How honest and how reliable a guest's records are. */
enum sim_honesty {
	SIM_TRUTHFUL,
	SIM_UNRELIABLE, /* 20 % lost, 30 % up to 10 s late, 5 % nonsense */
	SIM_SILENT,
	SIM_LYING /* every job waited half a minute, and all the time for room */
};

#define SIM_RECORDS 256

struct sim_delayed {
	struct job_record record;
	uint64_t due_us;
};

/* The simulator's profiler: what a host would see of a plant between two looks. */
struct sim_profile {
	struct sim_counts before;
	size_t reported; /* of the plant's finished jobs */
	struct sim_random rng;
	struct sim_delayed delayed[SIM_RECORDS];
	unsigned int ndelayed;
	struct job_record record[2 * SIM_RECORDS];
};

void sim_profile_init(struct sim_profile *profile, uint64_t seed);

/* What is new since the last call; facts->record points into profile until the next. */
void sim_profile_look(struct sim_profile *profile, const struct sim_plant *plant,
		      enum sim_honesty honesty, struct control_facts *facts);
