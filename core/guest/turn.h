/*
 * Taking turns, so that jobs that share a full space do not wait for each other for ever.
 *
 * Theory of operation. Parts cannot be released by the host, because nobody sees them. When several
 * jobs have filled a space with parts and none can finish, one must get the room of the others. One
 * blocked job is the elder: it holds TURN_TOKEN until its object is published. An elder that got no
 * byte in for TURN_HUNGRY_NS is hungry until its object is published, and every other job that
 * blocks meanwhile gives its part's room back, keeping the bytes elsewhere (guest/object.h), and
 * waits for the token or for plenty of room. An elder that still gets nothing in (its object may be
 * larger than what the host will ever free) passes the token on when others wait, gives its own
 * room back, and tries again later. So whichever object can be finished is finished: each gets the
 * whole room in its turn.
 *
 * All three are locks on bytes of SPACE_LOCK; a killed job leaves none behind.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { LOCK_HOUSE, LOCK_TOKEN, LOCK_HUNGRY, LOCK_WAITING }; /* bytes of SPACE_LOCK */

#define TURN_HUNGRY_NS	 500000000LL
#define TURN_PATIENCE_NS 4000000000LL

struct turn {
	int lockfd;
	bool waiting, elder, hungry;
	int64_t stuck_ns;    /* since when nothing got in */
	int64_t patience_ns; /* of an elder; doubles each time it was in vain */
	int64_t not_before_ns;
};

void turn_init(struct turn *t, int lockfd);

/* One look of a job that is blocked; true when it has to give its room back. */
bool turn_step(struct turn *t);

/* Tries to become the elder; whether it is. */
bool turn_take(struct turn *t);

/* Whether another job is a hungry elder. */
bool turn_hungry(const struct turn *t);

/* Whether another job waits for room. */
bool turn_others(const struct turn *t);

/* A byte got in. */
void turn_progress(struct turn *t);

/* The object is published, or given up. */
void turn_end(struct turn *t);
