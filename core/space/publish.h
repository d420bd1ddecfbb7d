/*
 * Publishing: an object comes into sight whole, or not at all.
 *
 * Theory of operation. An object is written as `.memnet/part/OWNER.N`, which is never served, and
 * gets its visible name by one rename(2) when its last byte is in it. OWNER is the id of the job
 * that writes it: whoever holds the lock on `.memnet/part/OWNER` (guest/job.h) owns the part, and
 * parts whose owner is gone are anybody's to remove. A live object gets its name while it is empty,
 * behind a marker (space/live.h), and publishing it is the removal of the marker.
 *
 * When room runs out in the middle of a write, what write(2) says over 9p is not to be relied on:
 * QEMU answers ENOSPC to a write that it took a part of, and a guest's Linux 6.12 (not 6.1) claims
 * to have written all, having put the rest where it does not belong. So the object is open with
 * O_APPEND, which QEMU passes on: the host decides where bytes go, behind those that are there. One
 * write is one message of 9p (space/bulk.h), so that nothing can overtake. And how much was taken
 * of a write that did not take all is told by the object's size, not by the call.
 *
 * To ask for the size costs as many messages as to write. So a kernel that tells the truth of a
 * write that took all is believed until the commit, which asks once; of a live object, which the
 * host may have removed, once a second. One that pretends is asked once for each SPACE_PIECE; where
 * bytes are missing, they may be so from between others, and the object is cut to what it had
 * before. After that, and for a live object, which cannot be cut as clients have read it, each
 * write is asked about.
 *
 * Nothing here waits: a full space is -ENOSPC, and the caller goes on at `size`, the exact byte.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "space/name.h"
#include "space/record.h"

/* ".memnet/part/", an owner's id, '.', a number and a NUL. */
#define PUBLISH_PART_MAX (13 + RECORD_ID_MAX + 1 + 10 + 1)

struct publish {
	int rootfd;			/* the space; the caller's */
	int fd;				/* the object; -1: there is none */
	int markerfd;			/* of a live object; else -1 */
	uint64_t size;			/* bytes in it, and where the next one goes */
	int64_t looked_ns;		/* when its size was asked for */
	bool believed;			/* that it has `size` bytes; not asked */
	bool careful;			/* room ran out before: each write is asked about */
	char part[PUBLISH_PART_MAX];	/* its name in part/; "" once it has a visible one */
	char path[OBJECT_PATH_MAX + 1]; /* its visible name; "" before */
	ino_t ino, marker_ino;		/* of a live one: what is ours of that name */
};

#define PUBLISH_INIT                                                                               \
	{                                                                                          \
		.rootfd = -1, .fd = -1, .markerfd = -1                                             \
	}

/* Makes the empty part OWNER.SERIAL. 0 or -errno; -ENOSPC when there is no inode for it. */
int publish_begin(struct publish *p, int rootfd, const char *owner, unsigned serial);

/*
 * Appends. The bytes taken, fewer than `size` when room ran out behind them; -ENOSPC for none;
 * -ENOENT when the host removed the object (before QEMU 10 fstat(2) and ftruncate(2) say so too).
 */
ssize_t publish_write(struct publish *p, const void *data, size_t size);

/* Gives all its room back; the next write is its first byte. Not for live objects. 0 or -errno. */
int publish_rewind(struct publish *p);

/*
 * Gives the object its visible name, making the folders above it. Without `replace` a name that is
 * taken is -EEXIST. -ENOSPC can be waited for and the call repeated. The object is complete behind
 * publish_commit(); behind publish_show() it is live, and publish_commit() ends it. On success
 * publish_commit() closes it.
 */
int publish_commit(struct publish *p, const char *path, bool replace);
int publish_show(struct publish *p, const char *path, bool replace);

/*
 * Whether the host has removed a live object under its writer: its marker is gone, or another's.
 * Nobody can have it whole any more, and publish_commit() is -ENOENT.
 */
bool publish_dropped(const struct publish *p);

/* Removes what is there of it, a live one's visible name too, and closes. Accepts a closed one. */
void publish_abort(struct publish *p);
