/*
 * Waiting for room in a space that is full.
 *
 * The host frees room whenever a client has taken an object, and nothing tells the guest: inotify
 * does not see the other side's changes through 9p. So the guest looks, with a back-off that costs
 * little and adds little delay. It looks with statvfs(3) and writes when a piece fits: to retry the
 * write each time would turn the tail of each object into single pages. But QEMU rounds a space's
 * free room down to units of nearly half a megabyte (507904 bytes at msize 512000), so that what
 * is left of a full space does not show; now and then, ROOM_TRY_NS apart (twice that where looks
 * are), the write is the look.
 *
 * What a look costs is that it wakes the vCPU, for the timer and for the answer. A wait that has
 * lasted is late by a ROOM_LATEth of itself for that, ROOM_DELAY_LONG_NS at most, but only where
 * nobody else waits: of two that do, the one that looks less often would be left behind for ever.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ROOM_DELAY_MIN_NS  500000LL
#define ROOM_DELAY_MAX_NS  8000000LL
#define ROOM_DELAY_LONG_NS 32000000LL
#define ROOM_LATE	   64
#define ROOM_HOLD_NS	   50000000LL
#define ROOM_TRY_NS	   64000000LL

/*
 * A look at the space, in bytes. Through 9p the sizes are rounded down to whole units: up to one
 * more may be there.
 */
struct room_view {
	uint64_t size;
	uint64_t free;
	uint64_t unit;
};

struct room {
	int rootfd;
	int64_t max_wait_ns;   /* for one wait; 0: no bound */
	int64_t blocked_ns;    /* waited so far, all waits */
	int64_t since_ns;      /* the present wait began; 0: none */
	int64_t delay_ns;      /* the next sleep */
	int64_t untried_ns;    /* slept since a write was the look */
	bool alone;	       /* nobody else waits: the caller's word */
	struct room_view seen; /* by the last step */
	/* Called with true when a wait has lasted ROOM_HOLD_NS, with false when it is over. */
	void (*hold)(void *cookie, bool held);
	void *hold_cookie;
	bool held;
};

void room_init(struct room *r, int rootfd, int64_t max_wait_ns);

/*
 * One step of a wait for `want` bytes (0: for an inode): sleeps once and looks. 0 when it is worth
 * another try, -EAGAIN when not yet, -ETIMEDOUT when the wait took max_wait_ns, -EINTR on a request
 * to stop, or what statvfs(3) said.
 */
int room_step(struct room *r, uint64_t want);

/* Whether the present wait is so long that it matters whether it is `alone`. */
bool room_is_long(const struct room *r);

/* Something was taken: the present wait, if there is one, is over. */
void room_taken(struct room *r);

/* A look at once. 0 or -errno. */
int room_look(const struct room *r, struct room_view *view);
