/*
 * The transcode job: a command, what it makes, and its end.
 *
 *	its stdout     the object `name`, whole or live; a full space fills the pipe and then holds
 *	its files      with `files`: what it writes into a folder of its own (guest/staging.h), each
 *	               an object as soon as it is complete
 *
 * The command is held while there is no room (guest/hold.h): in the first form its full pipe would
 * do, but in the second it would go on to fill the folder, which may be the guest's memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "guest/child.h"
#include "guest/hold.h"
#include "guest/job.h"
#include "guest/object.h"
#include "guest/progress.h"
#include "guest/staging.h"

struct transcode_options {
	const char *to;	   /* a folder in a space */
	char *const *argv; /* "{output}" in a word is the staging folder, "{}" the input if given */
	const char *input; /* the path of the one file it is about, or NULL: not known */
	const char *name;  /* of the object; with `files` the folder of the objects, or NULL */
	bool files;
	bool live;
	bool replace;
	uint64_t staging_size; /* what files may take that are not complete; 0: any */
	int64_t timeout_ns;    /* of one attempt, time held not counted; 0: none */
	int64_t kill_after_ns; /* between TERM and KILL */
	int64_t max_wait_ns;   /* for room; 0: no bound */
	int64_t bytes_in;      /* of the input; for the record */
	int64_t arrival_ns;    /* since when this could have begun; 0: now */
	int retries;
	int attempts; /* made already, of which this is a retry */
	/*
	 * With a `name`, just before the object gets it: that file will be the object. 0, or an
	 * -errno that gives it up. NULL: nobody.
	 */
	int (*publishing)(void *cookie, const struct stat *object);
	void *publishing_cookie;
	void (*tick)(void *); /* called now and then; for progress. NULL: nobody */
	void *tick_cookie;
};

struct transcode {
	struct transcode_options options;
	struct job job;
	struct child child;
	struct staging staging;
	struct progress progress; /* of the present attempt */
	struct hold hold;	  /* likewise */
	char *buffer;		  /* SPACE_PIECE bytes */
	int64_t staging_look_ns;  /* of the last sum of what is in it */
	int64_t attempt_ns;	  /* when the present attempt began, less what it was held */
	int attempts;
	int64_t bytes, objects; /* published */
	int64_t start_ns, end_ns, cpu_ns, blocked_ns;
};

/*
 * Runs it all. The command's exit status (of the last attempt), or -errno and the error: -EINTR on
 * a request to stop, -ETIME when the command took longer than timeout_ns. What is to be counted is
 * in *t behind it, in either case.
 */
int transcode_run(struct transcode *t, const struct transcode_options *options, struct mn_error *e);
