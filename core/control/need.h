/*
 * What one space needs, by what was seen of it: the orchestrator's part that looks at each space by
 * itself. What it then gets is up to the others (control/orchestrator.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/estimator.h"
#include "control/orchestrator.h"
#include "control/record_check.h"
#include "control/slo.h"

struct control_space {
	struct control_wish wish;
	struct estimator est;
	struct slo_watch slo;
	struct slo_report report;
	struct record_credit credit;
	uint64_t rejected[RECORD_NVERDICTS], rejected_before;
	uint64_t cpu_well_ns, drain_well_ns; /* when last neither was overloaded */
	uint64_t record_ns;		     /* when the last good record came */
	uint64_t peak_bytes;		     /* since the last period */
	uint64_t headroom_before_bytes, used_before_bytes;
	bool met, full_in_period, rejecting;
	double idle;	  /* byte-seconds since the room was last needed */
	double delivered; /* bytes, ever */
	double stall_factor;
	unsigned int stalled_ticks, most_growing;
	double model_q95, model_q99, rho_drain;
	unsigned int doubts;
	/* of the present tick */
	double headroom, need, want;
	enum control_reason reason;
};

/* When it is looked at, and by which rules. */
struct need_look {
	const struct control_tuning *tuning;
	uint64_t now_ns;
	double dt_s;	/* since the last look; 0: there was none */
	double apart_s; /* how far looks lie apart, the worst of late */
	bool period;
};

/* A space that was never looked at; the wish is copied. */
void need_init(struct control_space *space, const struct control_wish *wish);

/* Takes in what was seen: need, want, headroom and reason are set, and in a period all else. */
void need_look(const struct need_look *look, struct control_space *space,
	       const struct control_facts *facts);

/* Whether the guest has been silent for too long to be believed. */
bool need_guest_stale(const struct need_look *look, const struct control_space *space);

/* Alarms that are the space's own: CONTROL_…, but for those of the budget. */
unsigned int need_alarms(const struct need_look *look, const struct control_space *space,
			 const struct control_facts *facts);
