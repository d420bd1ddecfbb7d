/*
 * An object on its way into the space, with back-pressure: what space/publish.h does at once, and
 * around it the waiting for room, and for one's turn (guest/turn.h).
 *
 * A job that has to give its part's room back copies the bytes to an unnamed file in TMPDIR
 * (/var/tmp, /tmp), empties the part, and writes them again when it may: whoever feeds the object
 * notices nothing but time, so that this works for a pipe as well as for a file. A live object is
 * in sight and cannot be taken back; it only waits.
 */
#pragma once

#include <stdbool.h>

#include "guest/beat.h"
#include "guest/job.h"
#include "guest/stream.h"
#include "space/publish.h"

struct object {
	struct job *job;
	struct publish publish;
	struct beat beat;
	const char *path; /* the name it shall have; the caller's */
	bool replace;
	unsigned renewals;   /* how often the host emptied the space under it */
	int asidefd;	     /* the bytes that gave their room back; -1: none did */
	uint64_t aside;	     /* how many */
	int64_t no_aside_ns; /* until when no place for them is looked for */
	bool warned, warned_aside;
};

/* Whether there is something of that name in the space. */
bool object_taken(int rootfd, const char *path);

/*
 * Begins the object `path` (relative to the space's root), with `live` in sight at once. -EEXIST
 * when the name is taken and not to be replaced; else as object_write().
 */
int object_begin(struct object *o, struct job *job, const char *path, bool replace, bool live);

/* Appends all of it. 0, -ETIMEDOUT, -EINTR, -ECONNABORTED: the host has dropped it; or -errno. */
int object_write(struct object *o, const void *data, size_t size);

/* To be called now and then while there is nothing to write: another job may need the room. */
int object_idle(struct object *o);

struct sink object_sink(struct object *o);

/*
 * Publishes it, or ends a live one. -EEXIST when the name is taken, also, with `replace`, by one
 * that another job writes live. On failure it is still there to be aborted.
 */
int object_commit(struct object *o);

/* Says what an -errno of these means, and returns it. */
int object_fail(int err, const char *path, struct mn_error *e);

/* Removes it. Accepts one that never began or is committed. */
void object_abort(struct object *o);
