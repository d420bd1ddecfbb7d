/*
 * An attempt: one transcode job in a process of its own, the worker, which tells how it gets on in
 * memory that it shares with us. It dies with us, and so does what it runs (guest/child.h).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "guest/transcode.h"

/* What a worker tells. */
struct attempt_report {
	bool ended;
	int status;
	struct transcode transcode;
	struct mn_error error;
};

/* All zero: none. */
struct attempt {
	struct attempt_report *report; /* NULL: none */
	pid_t worker;
	int workerfd; /* a pidfd, readable when it ends */
};

/*
 * Forks the worker, which calls job(), with nothing to read as its standard input, and ends with
 * what that returns. Gives SIGCHLD its default back. 0 or -errno.
 */
int attempt_start(struct attempt *a, int (*job)(void *cookie, struct attempt *a), void *cookie);

/* For job(): runs it, its progress told meanwhile. As transcode_run(). */
int attempt_transcode(struct attempt *a, const struct transcode_options *o);

/* Whether it was running and has ended; its report stays until attempt_drop(). Does not wait. */
bool attempt_reap(struct attempt *a);

/* Of one that ended: what job() returned, and the cause; -ECANCELED where it was killed. */
int attempt_status(const struct attempt *a, const char **error);

/* Asks it to stop. */
void attempt_stop(const struct attempt *a);

/* Forgets the report. Accepts one that has none. */
void attempt_drop(struct attempt *a);
