/*
 * The inbox: a folder whose files are work for a transcoder.
 *
 * Theory of operation. What lies in the folder is to be done. What is done lies in `done` below it
 * (or is gone, with `remove`), what failed for the last time in `failed`. So the folder itself is
 * the state: there is nothing besides it to lose, and to move a file back is to ask for it again.
 * inotify(7) tells what landed, but an event is only a name to look at (guest/claim.h).
 *
 * Each attempt is a process of its own (guest/attempt.h), one transcode job with its record. The
 * input is locked while we work on it or wait to try it again, so that several hooks share an
 * inbox; the worker and its keeper have the lock too, and it ends when nothing of the command is
 * left.
 *
 * Between the publishing of an object and the moving of its input lies one instant. For that there
 * is the note (guest/claim.h): whoever finds it, and the object that it tells of, only moves the
 * input. With files the work of that instant is done again; they replace what they were.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "guest/transcode.h"

#define INBOX_DONE     "done"
#define INBOX_FAILED   "failed"
#define INBOX_JOBS_MAX 64

enum inbox_news {
	INBOX_STARTS,	/* an attempt */
	INBOX_PROGRESS, /* of it */
	INBOX_DONE_NOW, /* published, and moved */
	INBOX_WAS_DONE, /* found to be published already, and moved */
	INBOX_RETRIES,	/* failed, and will be tried again */
	INBOX_FAILS,	/* failed, and moved to INBOX_FAILED */
	INBOX_LEAVES,	/* failed for no fault of its own, and stays for another run */
};

struct inbox_item {
	const char *name; /* any bytes but '/' */
	enum inbox_news news;
	int attempts;
	int status;			   /* of the command, or -errno */
	const char *error;		   /* "": none; the cause where status is -errno */
	int64_t retry_ns;		   /* with INBOX_RETRIES: from now */
	const struct transcode *transcode; /* NULL where none ran */
};

struct inbox_options {
	const char *dir;
	int jobs;    /* at once */
	bool once;   /* what is there now, and return */
	bool remove; /* what is done */
	/*
	 * For each input. In `name` "{}" is its name, "{.}" the same without its last suffix; NULL
	 * with `files`: "{.}". `retries` are counted here.
	 */
	struct transcode_options transcode;
	void (*told)(void *cookie, const struct inbox_item *item);
	void *cookie;
};

struct inbox_counts {
	unsigned done, failed, left, running;
};

/*
 * Runs until a signal asks to stop (-EINTR, the commands ended and their inputs left), or with
 * `once` until all that is there was tried: 0, whatever failed. Or -errno and the error.
 */
int inbox_run(const struct inbox_options *o, struct inbox_counts *counts, struct mn_error *e);
