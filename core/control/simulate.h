#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/orchestrator.h"
#include "control/sim_scenario.h"

/* Who sets the sizes. */
enum simulate_policy {
	SIMULATE_MEMNET,    /* the controller of the live loop */
	SIMULATE_STATIC,    /* one size throughout: static_bytes, else max or the entitlement */
	SIMULATE_THRESHOLD, /* every period: above 80 % or below 40 % used, resize to 60 % */
	SIMULATE_NPOLICIES
};

/* NULL if there is none of this number; for parsing, count up to SIMULATE_NPOLICIES. */
const char *simulate_policy_name(enum simulate_policy policy);

/* One run. Zero means the default everywhere; simulate_spec_default() fills in the tuning. */
struct simulate_spec {
	const struct sim_scenario *scenario;
	uint64_t seed;
	enum simulate_policy policy;
	uint64_t static_bytes;
	struct control_tuning tuning; /* no budget: the sum of the largest sizes */
	unsigned int hoarder;	      /* this VM, counted from 1, delivers nothing from 1200 s */
	unsigned int liar;	      /* this VM, counted from 1, lies in all its records */
	double skip;		      /* chance that a guard tick is left out */
};

struct simulate_spec simulate_spec_default(const struct sim_scenario *scenario, uint64_t seed);

struct simulate_vm {
	uint64_t jobs, jobs_fnv;
	unsigned int windows;  /* of 60 s with 10 jobs or more, in [120, 3540) s */
	unsigned int violated; /* with more than 5 % of the jobs late */
	unsigned int xv;       /* violated, though not with max memory */
	double mean_bytes, used_mean_bytes;
	uint64_t peak_bytes;
	unsigned int resizes, reversals;
	double unlimited_mean_bytes;  /* with max memory: use */
	double unlimited_track_bytes; /* and the mean of its peaks every 2 s, at least min */
	uint64_t unlimited_peak_bytes;
};

struct simulate_result {
	unsigned int nvms;
	struct simulate_vm vm[SIM_VMS_MAX];
	struct simulate_vm total;   /* sums; its peak is that of the sum of the sizes */
	unsigned int over_budget;   /* ticks after which the sum of the sizes was above it */
	uint64_t clairvoyant_bytes; /* smallest budget that would never have blocked */
	unsigned int alarms;	    /* all that were raised */
	uint64_t ticks;
};

/* Returns 0, -ENOMEM, or -EINVAL for a spec the controller refuses. Deterministic. */
int simulate(const struct simulate_spec *given, struct simulate_result *result);
