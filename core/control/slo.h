#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/record_check.h"

/*
 * The objective of one space, watched: which jobs were late, and which of them for want of memory.
 * The guest tells the times; that the space was full is the host's own observation.
 */
#define SLO_JOBS   512
#define SLO_SPELLS 64

struct slo_job {
	uint64_t end_ns;
	float response_s, full_s; /* of the response, the time in which the space was full */
};

struct slo_spell {
	uint64_t from_ns, to_ns;
};

struct slo_watch {
	struct slo_job job[SLO_JOBS]; /* the latest, in a ring */
	struct slo_spell spell[SLO_SPELLS];
	unsigned int njobs, nspells; /* ever seen */
};

struct slo_report {
	unsigned int jobs;
	double p95_s, late, memory_late; /* fractions */
	double full;			 /* fraction of the window */
};

void slo_init(struct slo_watch *watch);

/* The space was full from .. to; call in order of time, adjoining spells are joined. */
void slo_full(struct slo_watch *watch, uint64_t from_ns, uint64_t to_ns);

/* Count a record that passed record_check(). */
void slo_count(struct slo_watch *watch, const struct job_record *record);

/* What ended in the window up to now. limit_s: slower is late; share: to stay below, as 0.95. */
void slo_report(const struct slo_watch *watch, uint64_t now_ns, uint64_t window_ns, double limit_s,
		double share, struct slo_report *report);
