/*
 * What the loop and the streams tell each other: their counters and limits, from the sockets that
 * are found (control/streams.h) and the metrics that are named (control/scrape.h), to the profiler;
 * and rates to those streams, when a link does not suffice for all (control/yield.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "control/drain.h"

struct tuner;

/* A counter of another process, which may begin anew. */
struct streaming_counter {
	bool known;
	uint64_t value;
};

/* What one of the streams that were named last said of one space. */
struct streaming_named {
	struct streaming_counter sent, released;
	int64_t told_ns; /* 0: nothing */
};

/* Of one space. */
struct streaming {
	uint64_t sent_bytes, released_bytes; /* by all streams, each since we know it */
	int64_t told_ns;		     /* when a stream last told of it */
	uint64_t sent_before, clients_before;
	struct drain drain;
	double in_bps, out_bps; /* lately, as of since_ns */
	uint64_t in_before, out_before;
	int64_t since_ns;
	bool short_of_room; /* at any look since the last period */
	uint64_t lent_bps;  /* what its streams were told; 0: nothing */
};

/* 0 or -errno with *e; streaming_close() takes what any outcome left. */
int streaming_open(struct tuner *tuner, struct mn_error *e);
void streaming_close(struct tuner *tuner);

/* The tuner is another one now, at another place. */
void streaming_move(struct tuner *tuner);

/* Once a period: who has come, who has gone. */
void streaming_find(struct tuner *tuner);

/* Asks all; whether an answer is still to come. */
void streaming_ask(struct tuner *tuner);
bool streaming_waiting(const struct tuner *tuner);

/* Sets the hints of a space, before it is looked at, dt_s after the last look (0: the first). */
void streaming_look(struct tuner *tuner, size_t space, double dt_s);

/* Once a period, after the decisions. */
void streaming_lend(struct tuner *tuner);
