/*
 * Standard output of a loop that must not wait: while it did, no space would grow. A pipe that
 * poll(2) calls writable takes PIPE_BUF bytes at once, and so a line; a terminal may take a part
 * of one, so what can be is opened anew for writes that do not wait. In our own name: the open file
 * that we were given is others', too.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/tune.h"

/* A reader that is at it gets so much time a look, for all lines; one that is not gets none. */
#define WAIT_NS (50 * NS_PER_MS)
#define TELL_NS (60 * NS_PER_S)

static void never_wait(int fd)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || isatty(fd)))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return;
	dup2(own, fd);
	close(own);
}

void tune_output_open(struct tune_output *o)
{
	static char line[PIPE_BUF];

	setvbuf(stdout, line, _IOFBF, sizeof(line));
	never_wait(STDOUT_FILENO);
	never_wait(STDERR_FILENO);
	o->open = true;
}

static void leave_out(struct tune_output *o, int64_t now_ns)
{
	o->left_out++;
	o->stuck = true;
	if (o->told_ns && now_ns - o->told_ns < TELL_NS)
		return;
	o->told_ns = now_ns;
	log_warn("standard output is not read: decisions left out so far: %" PRIu64, o->left_out);
}

bool tune_output_begin(struct tune_output *o)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
	int64_t now = clock_ns();

	if (!o->open)
		return true;
	if (!o->until_ns)
		o->until_ns = now + (o->stuck ? 0 : WAIT_NS);
	if (poll(&out, 1, now < o->until_ns ? (int)((o->until_ns - now) / NS_PER_MS) : 0) == 0) {
		leave_out(o, now);
		return false;
	}
	o->stuck = false;
	if (o->cut)
		putchar('\n');
	o->cut = false;
	return true;
}

void tune_output_end(struct tune_output *o)
{
	if (!o->open || fflush(stdout) == 0 || errno != EAGAIN)
		return;
	clearerr(stdout);
	o->cut = true;
}

void tune_output_looked(struct tune_output *o)
{
	fflush(stdout);
	o->until_ns = 0;
}
