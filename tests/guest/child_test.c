/* A command and its end: status, pipes, signals to its group, and nothing left of it in any case.
 */
#include "guest/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/io.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#define SH(script) ((char *const[]){(char *)"sh", (char *)"-c", (char *)(script), NULL})

static void start(struct child *c, const char *script)
{
	struct mn_error e = MN_ERROR_INIT;

	if (child_start(c, SH(script), true, NULL, &e))
		diag("%s", e.text);
}

/* What it wrote until it closed its stdout. */
static const char *output(struct child *c)
{
	static char text[256];
	ssize_t n = io_read_full(c->outputfd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* A number that it wrote, before it goes on. */
static pid_t told_pid(struct child *c)
{
	char text[32] = "";
	size_t at = 0;

	while (at + 1 < sizeof(text) && read(c->outputfd, text + at, 1) == 1 && text[at] != '\n')
		at++;
	return (pid_t)strtol(text, NULL, 10);
}

/* Once its keeper is gone or its orphans came to us, a process is gone; a zombie is its parent's.
 */
static bool gone(pid_t pid)
{
	for (int i = 0; i < 12000 && kill(pid, 0) == 0; i++)
		poll(NULL, 0, 5);
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static char state(pid_t pid)
{
	char path[64], text[512];
	const char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (io_read_file(AT_FDCWD, path, text, sizeof(text)) < 0 || !(end = strrchr(text, ')')))
		return '-';
	return end[2];
}

static bool becomes(pid_t pid, char a, char b)
{
	for (int i = 0; i < 12000; i++) {
		char s = state(pid);

		if (s == a || s == b)
			return true;
		poll(NULL, 0, 5);
	}
	return false;
}

static void statuses(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct child c;

	start(&c, "echo said; exit 7");
	is_str(output(&c), "said\n", "its stdout is a pipe to us");
	is_int(child_wait(&c, -1), 7, "its exit status");
	child_close(&c);
	start(&c, "kill -USR1 $$");
	is_int(child_wait(&c, -1), 128 + SIGUSR1, "the signal that ended it");
	child_close(&c);
	start(&c, "echo 42 >&3");
	is_int(child_wait(&c, -1), 0, "it has a descriptor 3");
	is_int(child_wait(&c, 0), -EAGAIN, "nothing to wait for a second time");
	char text[8] = "";
	ok(read(c.progressfd, text, sizeof(text)) == 3 && !memcmp(text, "42\n", 3), "ours to read");
	child_close(&c);
	is_int(child_start(&c, (char *const[]){(char *)"/no/such", NULL}, true, NULL, &e), -ENOENT,
	       "no such program");
	is_str(e.text, "/no/such: No such file or directory", "in words");
	child_close(&c);
}

/* As some that start us leave it: what ends is gone then before anybody could wait for it. */
static void ignored(void)
{
	struct child c;

	signal(SIGCHLD, SIG_IGN);
	start(&c, "sh -c 'exit 3'; echo $?; exit 7");
	is_str(output(&c), "3\n", "SIGCHLD ignored by who started us is not by the command");
	is_int(child_wait(&c, -1), 7, "nor by us");
	child_close(&c);
}

static void inherits_nothing(void)
{
	struct child c;

	start(&c, "ls /proc/self/fd | wc -l; trap");
	is_str(output(&c), "5\n", "0 to 3 and that of ls; no signal ignored");
	child_wait(&c, -1);
	child_close(&c);
}

static void group(void)
{
	struct child c;
	pid_t pid;

	start(&c, "sh -c 'echo $$; exec sleep 1000' & wait");
	pid = told_pid(&c);
	is_int(child_wait(&c, 0), -EAGAIN, "it runs");
	child_hold(&c, true);
	ok(becomes(pid, 'T', 'T') && becomes(c.group, 'T', 'T'), "all of the group is stopped");
	child_hold(&c, false);
	ok(becomes(pid, 'S', 'R'), "and goes on");
	child_hold(&c, true);
	child_terminate(&c);
	is_int(child_wait(&c, -1), 128 + SIGTERM, "TERM reaches a stopped one");
	ok(gone(pid), "and its children");
	child_close(&c);
}

/* ^Z stops us: a process of our own, that has its command held or not. */
static void stopped(bool held)
{
	int pair[2];
	pid_t us, pid = 0;

	if (pipe(pair) < 0)
		return;
	us = fork();
	if (us == 0) {
		struct child c;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		start(&c, "echo $$; exec sleep 1000");
		pid = told_pid(&c);
		child_hold(&c, held);
		if (write(pair[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		for (;;)
			poll(NULL, 0, -1);
	}
	ok(read(pair[0], &pid, sizeof(pid)) == sizeof(pid) && pid > 0, "it runs");
	kill(us, SIGTSTP);
	ok(becomes(us, 'T', 'T') && becomes(pid, 'T', 'T'), "TSTP stops us and our command");
	kill(us, SIGCONT);
	ok(becomes(us, 'S', 'R'), "CONT lets us go on");
	if (held) {
		kill(us, SIGTSTP);
		ok(becomes(us, 'T', 'T'), "and is heard again");
		is_int(state(pid), 'T', "but not a command that was held");
	} else {
		ok(becomes(pid, 'S', 'R'), "and our command");
	}
	kill(us, SIGKILL);
	waitpid(us, NULL, 0);
	close(pair[0]);
	close(pair[1]);
}

static void stubborn(void)
{
	struct child c;

	start(&c, "trap '' TERM HUP INT; echo $$; while :; do sleep 1; done");
	told_pid(&c);
	child_terminate(&c);
	is_int(child_wait(&c, 50), -EAGAIN, "one that ignores TERM");
	child_kill(&c);
	is_int(child_wait(&c, -1), 128 + SIGKILL, "is killed");
	child_close(&c);
}

/* What left the group by setsid(2), twice over. */
#define LEFT                                                                                       \
	"setsid sh -c 'setsid sh -c \"echo \\$\\$; exec sleep 1000\" & exec sleep 1000' & "        \
	"exec sleep 1000"

static void orphans(void)
{
	struct child c;
	pid_t pid;

	start(&c, LEFT);
	pid = told_pid(&c);
	child_close(&c);
	ok(gone(pid), "what left the group ends with it");

	start(&c, LEFT);
	pid = told_pid(&c);
	kill(c.keeper, SIGKILL);
	is_int(child_wait(&c, -1), 128 + SIGKILL, "a killed keeper");
	ok(gone(pid), "leaves nothing either");
	child_close(&c);

	start(&c, "i=0; while [ $i -lt 900 ]; do setsid sleep 1000 & i=$((i+1)); done; echo $!");
	pid = told_pid(&c);
	is_int(child_wait(&c, 300000), 0, "more orphans than one read of /proc tells");
	ok(gone(pid), "all end");
	child_close(&c);
}

/* We are killed: a process of our own that had started one. */
static void killed(void)
{
	int pair[2], status;
	pid_t us, pid = 0;

	prctl(PR_SET_CHILD_SUBREAPER, 0);
	if (pipe(pair) < 0)
		return;
	us = fork();
	if (us == 0) {
		struct child c;

		start(&c, LEFT);
		pid = told_pid(&c);
		if (write(pair[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		for (;;)
			pause();
	}
	ok(read(pair[0], &pid, sizeof(pid)) == sizeof(pid) && pid > 0, "it runs");
	kill(us, SIGKILL);
	waitpid(us, &status, 0);
	ok(gone(pid), "what left the group does not outlive us");
	close(pair[0]);
	close(pair[1]);
}

static void scratch(void)
{
	int dir = scratch_open();
	char path[300];
	struct child c;
	struct mn_error e = MN_ERROR_INIT;

	mkdirat(dir, "staging", 0700);
	snprintf(path, sizeof(path), "%s/staging", scratch_path);
	child_start(&c, SH("echo $$; exec sleep 1000"), true, path, &e);
	told_pid(&c);
	child_close(&c); /* to the keeper, as if we were gone */
	ok(faccessat(dir, "staging", F_OK, 0) < 0, "the folder goes when we are gone first");
	mkdirat(dir, "staging", 0700);
	child_start(&c, SH("exit 0"), true, path, &e);
	child_wait(&c, -1);
	ok(faccessat(dir, "staging", F_OK, 0) == 0, "and is ours when the command was");
	child_close(&c);
	close(dir);
}

int main(void)
{
	for (int fd = 3; fd < 1024; fd++)
		close(fd); /* what we were started with would be counted */
	statuses();
	ignored();
	inherits_nothing();
	group();
	stopped(false);
	stopped(true);
	stubborn();
	orphans();
	killed();
	scratch();
	return done_testing();
}
