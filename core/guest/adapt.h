/*
 * Which level suits the drain.
 *
 * Theory of operation. A job is done when its last byte is delivered. That takes the longer of
 * making the rest and delivering what lies in the space and the rest; for an object that clients
 * see only when it is whole, making it and then delivering it. A higher level makes the first
 * longer and the second shorter, so the level with the least sum is what the network leaves time
 * for: a model of few numbers, unlike a controller that climbs while a buffer is full, which with
 * long jobs in the buffer learns too late that it climbed too far.
 *
 * What a level costs is learnt from stretches of input that were compressed at it: the time per
 * byte, without waiting for room, and the share of the bytes that is left. Levels not tried yet are
 * taken to differ from the nearest one tried as they do on zstd's usual data. Data that becomes
 * easier or harder does so at all levels.
 *
 * How fast the drain is shows only while there is something to drain. While there is not, the drain
 * is taken for twice as fast as it was seen to be: so it is found out within a few stretches.
 *
 * Nothing here asks a clock or a file: guest/levels.h does, and what it saw comes in.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ADAPT_LEVEL_MAX 22

/* What is known of the drain. */
struct adapt_drain {
	double rate;	/* bytes a second, this job's share; < 0: nothing is known */
	double backlog; /* bytes in the space that can be taken */
	int advice;	/* the host's: 1 compress more, -1 less, 0; counts where no rate is known */
	bool whole;	/* clients see an object only when it is complete */
};

/* One stretch of input, done. */
struct adapt_stretch {
	uint64_t in, out;
	double seconds; /* making it, without waiting for room */
};

struct adapt {
	int level, min, max;
	double cost[ADAPT_LEVEL_MAX + 1];  /* seconds a byte; 0: not tried */
	double share[ADAPT_LEVEL_MAX + 1]; /* of each byte of input, bytes of output */
};

/* Ready at `level`, to stay in [min, max], all from 1 to ADAPT_LEVEL_MAX. */
void adapt_init(struct adapt *a, int level, int min, int max);

/* What the stretch tells of the present level. */
void adapt_learn(struct adapt *a, const struct adapt_stretch *s);

/* Chooses the level for what comes next, of an input with `rest` bytes to come. */
void adapt_choose(struct adapt *a, const struct adapt_drain *d, double rest);

/* Bytes of input that take `seconds` at the present level, or make `out` bytes; 0: not known yet.
 */
double adapt_bytes(const struct adapt *a, double seconds);
double adapt_input(const struct adapt *a, double out);
