/*
 * An object on its way into the space, with back-pressure: what space/publish.h does at once, and
 * the waiting for room around it.
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
};

/*
 * Begins the object `path` (relative to the space's root), with `live` in sight at once. -EEXIST
 * when the name is taken and not to be replaced; else as object_write().
 */
int object_begin(struct object *o, struct job *job, const char *path, bool replace, bool live);

/* Appends all of it. 0, -ETIMEDOUT, -EINTR, or -errno. */
int object_write(struct object *o, const void *data, size_t size);
struct sink object_sink(struct object *o);

/* Publishes it, or ends a live one. On failure it is still there to be aborted. */
int object_commit(struct object *o);

/* Removes it. Accepts one that never began or is committed. */
void object_abort(struct object *o);
