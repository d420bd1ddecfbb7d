#include "qmp/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

extern char **environ;

/* 0 when `fd` is ready for `events` (or broken, which the next call on it tells), or -errno. */
static int wait_ready(int fd, short events, int64_t deadline_ns)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = events};
		int n = poll(&p, 1, clock_left_ms(deadline_ns));

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static bool again(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static ssize_t receive_ready(int fd, char *buf, size_t size, int64_t deadline_ns)
{
	for (;;) {
		ssize_t n = read(fd, buf, size);
		int err;

		if (n >= 0)
			return n;
		if (errno == ECONNRESET)
			return 0;
		if (!again())
			return -errno;
		err = wait_ready(fd, POLLIN, deadline_ns);
		if (err)
			return err;
	}
}

/* The Unix socket. */

struct unix_peer {
	int fd;
};

static int unix_send(void *cookie, const char *line, size_t size, int64_t deadline_ns)
{
	struct unix_peer *u = cookie;

	while (size > 0) {
		ssize_t n = send(u->fd, line, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		int err;

		if (n >= 0) {
			line += n;
			size -= (size_t)n;
			continue;
		}
		if (!again())
			return -errno;
		err = wait_ready(u->fd, POLLOUT, deadline_ns);
		if (err)
			return err;
	}
	return 0;
}

static ssize_t unix_receive(void *cookie, char *buf, size_t size, int64_t deadline_ns)
{
	struct unix_peer *u = cookie;

	return receive_ready(u->fd, buf, size, deadline_ns);
}

static void unix_explain(void *cookie, char *buf, size_t size)
{
	(void)cookie;
	snprintf(buf, size, "it closed the connection");
}

static void unix_close(void *cookie)
{
	struct unix_peer *u = cookie;

	close(u->fd);
	free(u);
}

static const struct transport_ops unix_ops = {
	.stream = true,
	.send = unix_send,
	.receive = unix_receive,
	.explain = unix_explain,
	.close = unix_close,
};

int transport_adopt(int fd, struct transport *t)
{
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);
	struct unix_peer *u = malloc(sizeof(*u));

	if (!u || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		free(u);
		close(fd);
		return -ENOMEM;
	}
	u->fd = fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		cred.pid = 0;
	*t = (struct transport){.ops = &unix_ops, .cookie = u, .peer = cred.pid};
	return 0;
}

/* A full queue of a Unix socket cannot be polled for: look again until the deadline. */
static int connect_within(int fd, const struct sockaddr_un *addr, int64_t deadline_ns)
{
	while (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0) {
		if (!again())
			return -errno;
		if (clock_left_ms(deadline_ns) == 0)
			return -ETIMEDOUT;
		poll(NULL, 0, 10);
	}
	return 0;
}

static int unix_fail(const char *path, int err, struct mn_error *e)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR: return mn_fail(e, MN_ABSENT, err, "no monitor socket %s", path);
	case ECONNREFUSED: return mn_fail(e, MN_ABSENT, err, "nobody listens at %s", path);
	case ETIMEDOUT:
		return mn_fail(e, MN_TIMEOUT, err,
			       "others are queued up at the monitor %s (let them finish; wake "
			       "QEMU if it is stopped: kill -CONT)",
			       path);
	default: return mn_fail_errno(e, err, "%s", path);
	}
}

static int unix_open(const char *path, int64_t deadline_ns, struct transport *t, struct mn_error *e)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int err;

	if (!*path)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "bad monitor \"\": want a socket's path, or exec:COMMAND");
	if (strlen(path) >= sizeof(addr.sun_path))
		return mn_fail(e, MN_USAGE, ENAMETOOLONG,
			       "the socket's path %.64s… is longer than %zu bytes", path,
			       sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	if (fd < 0)
		return mn_fail_errno(e, errno, "socket");
	err = connect_within(fd, &addr, deadline_ns);
	if (err)
		return unix_fail(path, -err, e);
	err = transport_adopt(STEAL_FD(fd), t);
	return err ? mn_fail_errno(e, -err, "%s", path) : 0;
}

/* A process per call. */

#define EXEC_WORDS_MAX 64

struct exec_peer {
	char *words[EXEC_WORDS_MAX + 2]; /* the command, a place for the call, NULL */
	int count;
	char *text; /* what words point into */
	pid_t pid;  /* of the call under way, 0 if there is none */
	int out;    /* its standard output, or -1 */
	int err;    /* its standard error, a memfd, or -1 */
	int status; /* its exit status, once it has ended */
};

static void exec_reap(struct exec_peer *x, bool kill_it)
{
	if (x->pid > 0 && kill_it)
		kill(x->pid, SIGKILL);
	if (x->pid > 0)
		waitpid(x->pid, NULL, 0);
	if (x->out >= 0)
		close(x->out);
	if (x->err >= 0)
		close(x->err);
	x->pid = 0;
	x->out = x->err = -1;
}

static int exec_spawn(struct exec_peer *x, int out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t defaults, none;
	int err;

	/* A loop blocks its signals, and takes them from a descriptor; a command is to get them. */
	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, x->err, 2);
	err = posix_spawnp(&x->pid, x->words[0], &actions, &attr, x->words, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (err)
		x->pid = 0;
	return -err;
}

static int exec_send(void *cookie, const char *line, size_t size, int64_t deadline_ns)
{
	struct exec_peer *x = cookie;
	cleanup_free char *call = strndup(line, size - 1); /* without the newline */
	cleanup_fd int write_end = -1;
	int pipefd[2], err;

	(void)deadline_ns;
	exec_reap(x, true);
	if (!call || pipe2(pipefd, O_CLOEXEC) < 0)
		return -ENOMEM;
	x->out = pipefd[0];
	write_end = pipefd[1];
	x->err = memfd_create("stderr", MFD_CLOEXEC);
	if (x->err < 0 || fcntl(x->out, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	x->words[x->count] = call;
	err = exec_spawn(x, write_end);
	x->words[x->count] = NULL;
	return err;
}

/* Its output has ended: the exit status, or -1 for one that had to be killed. */
static int exec_wait(struct exec_peer *x, int64_t deadline_ns)
{
	int status = 0;

	while (x->pid > 0 && waitpid(x->pid, &status, WNOHANG) == 0) {
		if (clock_left_ms(deadline_ns) == 0) {
			kill(x->pid, SIGKILL);
			waitpid(x->pid, &status, 0);
			break;
		}
		poll(NULL, 0, 1);
	}
	x->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The answer ends with the output, however many lines it is printed in: JSON needs none of them. */
static ssize_t exec_receive(void *cookie, char *buf, size_t size, int64_t deadline_ns)
{
	struct exec_peer *x = cookie;
	ssize_t n;

	if (x->out < 0)
		return 0;
	n = receive_ready(x->out, buf, size, deadline_ns);
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n')
			buf[i] = ' ';
	}
	if (n != 0)
		return n;
	x->status = exec_wait(x, deadline_ns);
	close(x->out);
	x->out = -1;
	buf[0] = '\n';
	return 1;
}

/* The first line of its standard error, or else its exit status. */
static void exec_explain(void *cookie, char *buf, size_t size)
{
	struct exec_peer *x = cookie;
	ssize_t n = x->err < 0 ? 0 : pread(x->err, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	if (!*buf)
		snprintf(buf, size, "%s printed no answer, exit status %d", x->words[0], x->status);
}

static void exec_close(void *cookie)
{
	struct exec_peer *x = cookie;

	exec_reap(x, true);
	free(x->text);
	free(x);
}

static const struct transport_ops exec_ops = {
	.stream = false,
	.send = exec_send,
	.receive = exec_receive,
	.explain = exec_explain,
	.close = exec_close,
};

static int exec_open(const char *command, struct transport *t, struct mn_error *e)
{
	struct exec_peer *x = calloc(1, sizeof(*x));
	char *save = NULL;

	if (!x)
		return mn_fail_errno(e, ENOMEM, "exec:%.64s", command);
	x->out = x->err = -1;
	x->text = strdup(command);
	for (char *w = strtok_r(x->text, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save)) {
		if (x->count == EXEC_WORDS_MAX)
			break;
		x->words[x->count++] = w;
	}
	if (x->count == 0 || x->count == EXEC_WORDS_MAX) {
		exec_close(x);
		return mn_fail(e, MN_USAGE, EINVAL, "exec: wants a command of 1 to %d words",
			       EXEC_WORDS_MAX - 1);
	}
	*t = (struct transport){.ops = &exec_ops, .cookie = x, .program = x->words[0]};
	return 0;
}

int transport_open(const char *address, int64_t deadline_ns, struct transport *t,
		   struct mn_error *e)
{
	if (strncmp(address, "exec:", 5) == 0)
		return exec_open(address + 5, t, e);
	if (strncmp(address, "unix:", 5) == 0)
		address += 5;
	return unix_open(address, deadline_ns, t, e);
}

void transport_close(struct transport *t)
{
	if (t->ops)
		t->ops->close(t->cookie);
	*t = (struct transport){0};
}
