#include "guest/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/*
 * The job itself is not in the shared memory: its keeper and its command begin as forks, which
 * write to what they believe to be their own.
 */
struct running {
	struct transcode transcode;
	struct attempt_report *report;
};

static void report_progress(void *cookie)
{
	struct running *r = cookie;

	if (r->transcode.progress.blocks != r->report->transcode.progress.blocks)
		r->report->transcode = r->transcode;
}

int attempt_transcode(struct attempt *a, const struct transcode_options *o)
{
	struct running running = {.report = a->report};
	struct transcode_options told = *o;
	int status;

	told.tick = report_progress;
	told.tick_cookie = &running;
	status = transcode_run(&running.transcode, &told, &a->report->error);
	a->report->transcode = running.transcode;
	return status;
}

/* What several commands read at once is of use to none, and ffmpeg takes it for keys. */
static void no_stdin(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		dup2(fd, STDIN_FILENO);
}

static _Noreturn void worker_main(struct attempt *a, pid_t parent,
				  int (*job)(void *cookie, struct attempt *a), void *cookie)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	no_stdin();
	a->report->status = job(cookie, a);
	a->report->ended = true;
	_exit(0);
}

int attempt_start(struct attempt *a, int (*job)(void *cookie, struct attempt *a), void *cookie)
{
	pid_t parent = getpid();
	void *shared = mmap(NULL, sizeof(*a->report), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		return -errno;
	a->report = shared;
	signal(SIGCHLD, SIG_DFL);
	a->worker = fork();
	if (a->worker == 0)
		worker_main(a, parent, job, cookie);
	if (a->worker < 0) {
		int err = -errno;

		attempt_drop(a);
		return err;
	}
	a->workerfd = (int)syscall(SYS_pidfd_open, a->worker, 0);
	return 0;
}

bool attempt_reap(struct attempt *a)
{
	if (!a->report || waitpid(a->worker, NULL, WNOHANG) != a->worker)
		return false;
	cleanup_close(&a->workerfd);
	return true;
}

int attempt_status(const struct attempt *a, const char **error)
{
	*error = a->report->ended ? a->report->error.text : "its worker was killed";
	return a->report->ended ? a->report->status : -ECANCELED;
}

void attempt_stop(const struct attempt *a)
{
	if (a->report)
		kill(a->worker, SIGTERM);
}

void attempt_drop(struct attempt *a)
{
	if (a->report)
		munmap(STEAL_PTR(a->report), sizeof(*a->report));
}
