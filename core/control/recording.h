/*
 * A recording of what the loop saw: text, a line each, so that awk and gnuplot read it.
 *
 *	memnet-recording 1
 *	tuning PERIOD_NS GUARD_NS BUDGET RESERVE MARGIN WINDOW_NS HOLD HMIN HFACTOR PAYBACK_NS …
 *	space VM/SPACE MIN MAX WEIGHT SLO_NS SHARE TTL_S
 *	t NOW_NS                         a look; what follows is of it
 *	f I SIZE USED IN FREED OUT STARTED COMPLETED SUM SUM2 GROWING DELIVERABLE FULL CPU \
 *		DRAIN CLIENT             space I, in one line
 *	r I ARRIVAL START END OUT BLOCKED
 *					 a record of it; times in ns before the look
 *	a I                              the space is not there
 *
 * I counts the spaces from 0. A space that is as it was at the last look, and of which nothing came
 * or went, has no line. Times are of the monotonic clock of the host.
 */
#pragma once

#include <stdio.h>

#include "control/tuner.h"

/* Opens and writes the head. 0 or -errno with *e. */
struct recording {
	FILE *file; /* NULL: none */
	struct control_facts *last;
	size_t nspaces;
};
int recording_create(struct recording *recording, const char *path,
		     const struct tuner_config *config, struct mn_error *e);

/* One look. A failure shows when it is closed. */
void recording_add(struct recording *recording, int64_t now_ns, const struct control_facts facts[]);

/* 0 or -errno of the first write that failed. Accepts one never created. */
int recording_close(struct recording *recording);

/* Reading one. */
struct recording_reader {
	FILE *file;
	char *line;
	size_t room;
	unsigned int number; /* of the line */
	bool pending;	     /* `line` is the next look's */
	struct tuner_config config;
	struct control_facts *facts; /* of the present look */
	struct job_record (*record)[INTAKE_MAX];
	int64_t now_ns;
};

/* Reads the head. 0 or -errno with *e. recording_end() accepts what either outcome left. */
int recording_begin(struct recording_reader *reader, const char *path, struct mn_error *e);

/* The next look, in reader->now_ns and facts. 1, 0 at the end, or -errno with *e. */
int recording_next(struct recording_reader *reader, struct mn_error *e);
void recording_end(struct recording_reader *reader);
