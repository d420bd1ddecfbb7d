#include "guest/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "guest/tempdir.h"

#define EXEC_FAILED 127

/* For a signal handler: the group of the command there is (0: none), and whether it is held. */
static volatile sig_atomic_t stoppable, held;

/* The pipes between us (index 0 reads) and the command. */
struct pipes {
	int life[2];   /* we write nothing; its end says that we are gone */
	int report[2]; /* the command's pid, and errno if exec fails */
	int output[2];
	int progress[2];
};

static void pair_close(int pair[2])
{
	cleanup_close(&pair[0]);
	cleanup_close(&pair[1]);
	pair[0] = pair[1] = -1;
}

static void pipes_close(struct pipes *p)
{
	pair_close(p->life);
	pair_close(p->report);
	pair_close(p->output);
	pair_close(p->progress);
}

static int pipes_open(struct pipes *p, bool piped)
{
	*p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	if (pipe2(p->life, O_CLOEXEC) < 0 || pipe2(p->report, O_CLOEXEC) < 0 ||
	    pipe2(p->progress, O_CLOEXEC) < 0 || (piped && pipe2(p->output, O_CLOEXEC) < 0))
		return -errno;
	/* A larger pipe means fewer switches; where a limit forbids it, the usual 64 KiB do. */
	if (piped)
		(void)fcntl(p->output[1], F_SETPIPE_SZ, 1024 * 1024);
	return 0;
}

static void report(int fd, int value)
{
	(void)!write(fd, &value, sizeof(value));
}

static void reset_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGIO};
	sigset_t none;

	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The command must not read a terminal whose foreground is ours: that would stop it. */
static void arrange_stdin(void)
{
	int fd;

	if (!isatty(STDIN_FILENO))
		return;
	fd = open("/dev/null", O_RDONLY);
	if (fd >= 0)
		dup2(fd, STDIN_FILENO);
}

static void arrange_fds(const struct pipes *p)
{
	arrange_stdin();
	if (p->output[1] >= 0)
		dup2(p->output[1], STDOUT_FILENO);
	/* Last: the number may be one of the pipes', and the report is needed still. */
	if (p->progress[1] == CHILD_PROGRESS_FD)
		fcntl(p->progress[1], F_SETFD, 0);
	else
		dup2(p->progress[1], CHILD_PROGRESS_FD);
}

static _Noreturn void command_main(struct pipes *p, char *const *argv, pid_t keeper)
{
	int reportfd = fcntl(p->report[1], F_DUPFD_CLOEXEC, 16);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(EXEC_FAILED);
	setpgid(0, 0);
	report(reportfd, (int)getpid());
	arrange_fds(p);
	reset_signals();
	execvp(argv[0], argv);
	report(reportfd, errno);
	_exit(EXEC_FAILED);
}

/*
 * What was handed to us as the subreaper, or the first few hundred of it: /proc lists a task's
 * children, each with a space behind it.
 */
static void kill_children(void)
{
	char path[64], text[4096], *p = text, *space;
	cleanup_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : io_read_full(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	for (; (space = strchr(p, ' ')); p = space + 1) {
		long pid = strtol(p, NULL, 10);

		if (pid > 0)
			kill((pid_t)pid, SIGKILL);
	}
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Until there is none left. The command's exit status. */
static int reap_all(pid_t command)
{
	int result = 128 + SIGKILL, status;
	pid_t pid;

	if (command > 0)
		kill(-command, SIGKILL);
	while ((pid = waitpid(-1, &status, WNOHANG)) >= 0 || errno == EINTR) {
		if (pid == command)
			result = status_of(status);
		if (pid == 0) {
			kill_children();
			poll(NULL, 0, 1);
		}
	}
	return result;
}

static _Noreturn void keeper_main(struct pipes *p, char *const *argv, const char *scratch)
{
	struct pollfd fds[2] = {{.fd = p->life[0]}, {.events = POLLIN}};
	pid_t self = getpid(), command;
	int status;

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_NAME, "hook-keeper"); /* pkill memnet is not meant for it */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setpgid(0, 0); /* ^C on the terminal is for memnet to pass on */
	cleanup_close(&p->life[1]);
	command = fork();
	if (command == 0)
		command_main(p, argv, self);
	pair_close(p->report);
	pair_close(p->output);
	pair_close(p->progress);
	if (command < 0)
		_exit(EXEC_FAILED);
	fds[1].fd = (int)syscall(SYS_pidfd_open, command, 0);
	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	/* An exit that is there already is the status; a SIGKILL behind it changes nothing. */
	status = reap_all(command);
	if (scratch && fds[0].revents)
		tempdir_remove(scratch);
	_exit(status);
}

/* SIGTSTP, as ^Z sends it, stops the command too, which is in a group of its own. */
static void stop_both(int signal)
{
	const int err = errno;

	(void)signal;
	if (stoppable)
		kill(-stoppable, SIGSTOP);
	raise(SIGSTOP);
	if (stoppable && !held)
		kill(-stoppable, SIGCONT);
	errno = err;
}

static void catch_stop(void)
{
	struct sigaction action = {.sa_handler = stop_both, .sa_flags = SA_RESTART}, old;

	if (sigaction(SIGTSTP, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		sigaction(SIGTSTP, &action, NULL);
}

static int start_failed(char *const *argv, int err, struct mn_error *e)
{
	return mn_fail_errno(e, err, "%s", argv[0]);
}

/* Takes the ends that are ours. */
static int started(struct child *c, struct pipes *p, char *const *argv, struct mn_error *e)
{
	int pid = 0, err = 0;

	cleanup_close(&p->report[1]);
	p->report[1] = -1;
	if (io_read_full(p->report[0], &pid, sizeof(pid)) != sizeof(pid))
		err = EAGAIN;
	else if (io_read_full(p->report[0], &err, sizeof(err)) != sizeof(err))
		err = 0;
	c->group = stoppable = pid;
	held = false;
	c->lifefd = STEAL_FD(p->life[1]);
	c->outputfd = STEAL_FD(p->output[0]);
	c->progressfd = STEAL_FD(p->progress[0]);
	fcntl(c->progressfd, F_SETFL, O_NONBLOCK);
	c->keeperfd = (int)syscall(SYS_pidfd_open, c->keeper, 0);
	if (err) {
		child_close(c);
		return start_failed(argv, err, e);
	}
	return 0;
}

int child_start(struct child *c, char *const *argv, bool piped, const char *scratch,
		struct mn_error *e)
{
	struct pipes p;
	int err = pipes_open(&p, piped);

	*c = (struct child){.keeperfd = -1, .lifefd = -1, .outputfd = -1, .progressfd = -1};
	if (!err) {
		/* Who started us may have it ignored: there would be nothing to wait for. */
		signal(SIGCHLD, SIG_DFL);
		catch_stop();
		/* Should the keeper be killed, what it held comes to us. */
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		c->keeper = fork();
		err = c->keeper < 0 ? -errno : 0;
	}
	if (!err && c->keeper == 0)
		keeper_main(&p, argv, scratch);
	if (err) {
		c->keeper = 0;
		start_failed(argv, -err, e);
	} else {
		err = started(c, &p, argv, e);
	}
	pipes_close(&p);
	return err;
}

static void signal_group(struct child *c, int signal)
{
	if (c->keeper && c->group > 0)
		kill(-c->group, signal);
}

void child_hold(struct child *c, bool hold)
{
	held = hold;
	signal_group(c, hold ? SIGSTOP : SIGCONT);
}

void child_terminate(struct child *c)
{
	held = false;
	signal_group(c, SIGTERM);
	signal_group(c, SIGCONT); /* one that is stopped dies of nothing but KILL */
}

void child_kill(struct child *c)
{
	cleanup_close(&c->lifefd);
	c->lifefd = -1;
}

int child_wait(struct child *c, int timeout_ms)
{
	struct pollfd p = {.fd = c->keeperfd, .events = POLLIN};
	int status;

	if (!c->keeper || (poll(&p, 1, timeout_ms) < 1 && timeout_ms >= 0))
		return -EAGAIN;
	while (waitpid(c->keeper, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (WIFSIGNALED(status))
		reap_all(c->group);
	c->keeper = stoppable = 0;
	cleanup_close(&c->keeperfd);
	c->keeperfd = -1;
	child_kill(c);
	return status_of(status);
}

void child_close(struct child *c)
{
	if (c->keeper) {
		child_kill(c);
		child_wait(c, -1);
	}
	cleanup_close(&c->outputfd);
	cleanup_close(&c->progressfd);
	c->outputfd = c->progressfd = -1;
}
