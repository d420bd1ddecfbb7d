/* Where the result of one input goes: an object, an ordinary file, a descriptor, or nowhere. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"
#include "guest/object.h"
#include "guest/stream.h"

enum target_kind { TARGET_NONE, TARGET_NULL, TARGET_DESCRIPTOR, TARGET_FILE, TARGET_OBJECT };

struct target {
	enum target_kind kind;
	struct sink sink;
	struct file_sink file;
	struct object object;
	char *path; /* of the file, or the object's in its space; owned */
};

/* Each leaves an output to be ended by target_finish() or target_abandon(). 0, or -errno and `e`.
 */
int target_null(struct target *o);
int target_descriptor(struct target *o, int fd);

/*
 * An ordinary file, made with `mode` as open(2) takes it. With `replace` it takes the name of one
 * that is there, whose other names keep what they had; else that is refused (-EEXIST). A device or
 * pipe is written to.
 */
int target_file(struct target *o, const char *path, mode_t mode, bool replace, bool sparse,
		struct mn_error *e);

/* The object `name`, relative to the job's folder in its space. */
int target_object(struct target *o, struct job *job, const char *name, bool replace, bool live,
		  struct mn_error *e);

/*
 * Makes the result durable and visible. `like`, if there is one, is the input whose mode, owner and
 * times an ordinary file takes on. On failure it has been abandoned.
 */
int target_finish(struct target *o, const struct stat *like, struct mn_error *e);

/* Removes what there is of it. */
void target_abandon(struct target *o);

/* Turns an -errno of the sink into words. */
int target_fail(const struct target *o, int err, struct mn_error *e);
