/*
 * A recording, played through the controller, or through another policy.
 *
 * Theory of operation. What the space held is taken as what it would have held: the load does not
 * change with the size. That is true up to the first decision that differs from the one that was
 * made, and an approximation behind it (`differs_s` tells when), and it is a good one while the
 * space is not full. Where it would have been too small for what it held, it is taken to be full,
 * and jobs that ran then to have waited all that time, instead of the time in which it was full
 * when recorded.
 */
#pragma once

#include "control/recording.h"
#include "control/simulate.h"

struct replay_spec {
	enum simulate_policy policy;
	uint64_t static_bytes; /* of each space; 0: its max */
	uint64_t budget_bytes; /* 0: the recording's */
};

struct replay_result {
	size_t nspaces;
	struct simulate_vm *space; /* xv: windows violated that would not be without the waiting */
	struct simulate_vm total;
	double duration_s, differs_s; /* differs_s < 0: nowhere */
	double short_s;		      /* space-seconds in which a space would have been full */
	unsigned int over_budget;
	unsigned int looks;
};

/* 0, or -errno with *e. replay_close() accepts what either outcome left. */
int replay(const char *path, const struct replay_spec *spec, struct replay_result *result,
	   struct mn_error *e);
void replay_close(struct replay_result *result);
