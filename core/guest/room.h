/*
 * Waiting for room in a space that is full.
 *
 * The host frees room whenever a client has taken an object, and nothing tells the guest: inotify
 * does not see the other side's changes through 9p. So the guest looks, with a back-off that costs
 * little and adds little delay. It looks with statvfs(3) and writes when a piece fits: to retry the
 * write each time would turn the tail of each object into single pages. But QEMU rounds a space's
 * free room down to units of nearly half a megabyte (507904 bytes at msize 512000), so that what
 * is left of a full space does not show; now and then, ROOM_LOOKS apart, the write is the look.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ROOM_DELAY_MIN_NS 500000LL
#define ROOM_DELAY_MAX_NS 8000000LL
#define ROOM_HOLD_NS	  50000000LL
#define ROOM_LOOKS	  8

struct room {
	int rootfd;
	int64_t max_wait_ns; /* for one wait; 0: no bound */
	int64_t blocked_ns;  /* waited so far, all waits */
	int64_t since_ns;    /* the present wait began; 0: none */
	int64_t delay_ns;
	unsigned looks;
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

/* Something was taken: the present wait, if there is one, is over. */
void room_taken(struct room *r);

/*
 * A look at the space, in bytes. Through 9p the sizes are rounded down to whole units: up to one
 * more may be there.
 */
struct room_view {
	uint64_t size;
	uint64_t free;
	uint64_t unit;
};

/* 0 or -errno. */
int room_look(const struct room *r, struct room_view *view);
