/*
 * Compression that follows the drain: gives guest/adapt.h what this job can see of its own speed
 * and of the host's.
 *
 * Theory of operation. While the controller runs, `.memnet/pace` tells what clients take
 * (space/pace.h), of which this job's share is as its share of what is written. Without one, what
 * goes out of the space is what was written less what the space grew by: memory that the host gave
 * back. Where the output is no space but a pipe, the drain is as fast as writes that have to wait.
 *
 * With threads that compress, the time a stretch took is not less than its CPU time on that many
 * CPUs: they work on while this thread waits for room.
 */
#pragma once

#include "guest/adapt.h"
#include "guest/encode.h"
#include "guest/room.h"
#include "space/pace.h"

struct levels {
	struct encode_pacer hook; /* for encode_options */
	struct adapt adapt;
	int workers;
	const struct room *room; /* of the space; NULL: there is none */
	bool whole;
	/* Kept up to date by the caller. */
	uint64_t written;  /* by this job, into any object */
	uint64_t held;	   /* of it, in an object that clients cannot see yet */
	int64_t waited_ns; /* in writes */
	/* The present stretch. */
	struct encode_counts begun;
	int64_t begun_ns, begun_cpu_ns, begun_waited_ns;
	int level; /* of the stretch before; another one: what comes out is of both */
	struct adapt_stretch small; /* not learnt from yet */
	/* The drain, at the last look. */
	struct adapt_drain drain;
	int64_t looked_ns, looked_waited_ns;
	uint64_t looked_written, used;
	double seen_s; /* since the first */
	double part;   /* of the drain, this job's */
	struct pace pace;
	int64_t heard_ns; /* when its serial changed */
};

void levels_init(struct levels *p, const struct adapt *adapt, int workers, const struct room *room,
		 bool whole);

/* An input is done, of which `done` was compressed. */
void levels_input_done(struct levels *p, const struct encode_counts *done);
