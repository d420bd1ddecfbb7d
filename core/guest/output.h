/* Where the result of one input goes: an object, an ordinary file, a descriptor, or nowhere. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"
#include "guest/object.h"
#include "guest/stream.h"

enum output_kind { OUTPUT_NONE, OUTPUT_NULL, OUTPUT_DESCRIPTOR, OUTPUT_FILE, OUTPUT_OBJECT };

struct output {
	enum output_kind kind;
	struct sink sink;
	struct file_sink file;
	struct object object;
	char *path; /* of the file, or the object's in its space; owned */
};

/* Each leaves an output to be ended by output_finish() or output_abandon(). 0, or -errno and `e`.
 */
int output_null(struct output *o);
int output_descriptor(struct output *o, int fd);

/* An ordinary file; one that is there is overwritten with `replace`, else refused (-EEXIST). */
int output_file(struct output *o, const char *path, bool replace, bool sparse, struct mn_error *e);

/* The object `name`, relative to the job's folder in its space. */
int output_object(struct output *o, struct job *job, const char *name, bool replace, bool live,
		  struct mn_error *e);

/*
 * Makes the result durable and visible. `like`, if there is one, is the input whose mode, owner and
 * times an ordinary file takes on. On failure it has been abandoned.
 */
int output_finish(struct output *o, const struct stat *like, struct mn_error *e);

/* Removes what there is of it. */
void output_abandon(struct output *o);

/* Turns an -errno of the sink into words. */
int output_fail(const struct output *o, int err, struct mn_error *e);
