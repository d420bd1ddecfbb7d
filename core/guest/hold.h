/*
 * Holding a command (SIGSTOP to its group) while its space has no room, or its staging folder too
 * much in it.
 *
 * Theory of operation. A command is held when a write of ours has waited for room (guest/room.h),
 * or when room is below the low-water mark; it goes on above the high-water mark. Between the two
 * lies hysteresis: a space that is drained in small steps would stop and start it many times a
 * second. But room that nobody makes is not waited for: where it has not grown for
 * HOLD_PATIENCE_NS, the command goes on with what there is, to the last byte, and the low mark
 * means nothing until the high one has been reached. Else jobs whose unfinished objects fill a
 * space would wait for each other.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HOLD_PATIENCE_NS 1000000000LL
#define HOLD_LOOK_NS	 20000000LL
#define HOLD_FAR_NS	 200000000LL /* between looks while room is above the high mark */
#define HOLD_LOW_MAX	 (4ULL << 20)
#define HOLD_HIGH_MAX	 (64ULL << 20)

struct hold {
	bool blocked;	  /* a write waits */
	bool low;	  /* room is below the low mark, or was and is not above the high one */
	bool staged;	  /* the staging folder has too much in it */
	bool spent;	  /* the low mark means nothing */
	uint64_t best;	  /* the most room seen since `low` */
	int64_t grown_ns; /* when */
	int64_t next_ns;  /* when to look again */
};

/* A sixteenth and a quarter of the space, bounded: where a command is held, and goes on. */
uint64_t hold_low_mark(uint64_t size);
uint64_t hold_high_mark(uint64_t size);

/* A look at a space of `size` bytes with `free` of them at `now_ns`. */
void hold_look(struct hold *h, uint64_t size, uint64_t free, int64_t now_ns);

/* A write began to wait, or has ended waiting: from then on as below the low mark. */
void hold_block(struct hold *h, bool blocked, int64_t now_ns);

/* Whether the command is to be stopped now. */
static inline bool hold_held(const struct hold *h)
{
	return h->blocked || h->low || h->staged;
}
