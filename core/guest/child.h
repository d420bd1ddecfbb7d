/*
 * A command and everything it starts, so held that nothing of it outlives us.
 *
 * Theory of operation. Between memnet and the command stands a keeper, a fork of memnet that does
 * nothing but wait. The command leads a process group of its own, which is stopped, continued and
 * ended as a whole. The keeper is its subreaper, so that even what left the group comes back to it
 * as its child; and it reads a pipe whose other end only memnet has. When the command has ended, or
 * memnet has, in whatever way (the pipe ends), the keeper kills what is left. Should the keeper be
 * killed, the command goes with it (PR_SET_PDEATHSIG), and memnet, a subreaper too, kills the rest.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

#define CHILD_PROGRESS_FD 3 /* where the command may write ffmpeg's -progress */

struct child {
	pid_t keeper;	/* 0: none */
	pid_t group;	/* the command's process group */
	int keeperfd;	/* a pidfd: readable when all has ended */
	int lifefd;	/* its end is ours */
	int outputfd;	/* the command's stdout; -1 when it kept ours */
	int progressfd; /* what it writes to CHILD_PROGRESS_FD */
};

/*
 * Starts `argv`, with its stdout a pipe to us if `piped`, else ours. The folder `scratch` (or NULL)
 * is removed by the keeper when we are gone before the command. 0, or -errno and the error.
 * Before any thread is started: the keeper is a mere fork. The process has no other children: all
 * there are may be killed when the keeper was. Gives SIGCHLD its default back.
 * SIGTSTP, unless it is ignored, stops the command with us, and SIGCONT lets it go on.
 */
int child_start(struct child *c, char *const *argv, bool piped, const char *scratch,
		struct mn_error *e);

/* Stops the command's group, or lets it go on. */
void child_hold(struct child *c, bool hold);

/* Asks the group to end. */
void child_terminate(struct child *c);

/* Kills what there is of it. */
void child_kill(struct child *c);

/*
 * Waits at most `timeout_ms` for its end (-1: for ever). Its exit status, 128 and the signal's
 * number if one ended it; or -EAGAIN: not yet. Everything is closed then but the pipes.
 */
int child_wait(struct child *c, int timeout_ms);

/* Kills, waits and closes. Accepts one that never started. */
void child_close(struct child *c);
