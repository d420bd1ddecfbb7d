/* Locks: held by one, and dropped when it dies. */
#include "base/lock.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static char path[300];

/* A child that holds the lock; it writes a byte once it has it, and dies with us. */
static pid_t holder(int hold_ms)
{
	char byte;
	int pipes[2];
	pid_t child;

	if (pipe(pipes) < 0)
		return -1;
	child = fork();
	if (child == 0) {
		close(pipes[0]);
		if (lock_acquire(path, 0, NULL) < 0)
			_exit(1);
		(void)!write(pipes[1], "", 1);
		usleep((unsigned)hold_ms * 1000);
		_exit(0);
	}
	close(pipes[1]);
	ok(read(pipes[0], &byte, 1) == 1, "another process holds it");
	close(pipes[0]);
	return child;
}

static void one_at_a_time(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct stat st = {0};
	int fd = lock_acquire(path, 0, &e);

	ok(fd >= 0, "a lock is had");
	ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "no child inherits it");
	stat(path, &st);
	is_int(st.st_mode & 07777, 0600, "others cannot open it");
	is_int(lock_acquire(path, 0, &e), -EBUSY, "not twice");
	is_int(e.status, MN_BUSY, "which is busy");
	ok(strstr(e.text, "--wait") != NULL, "and says what to do");
	is_int(lock_acquire(path, 20 * NS_PER_MS, &e), -EBUSY, "nor after a while");
	close(fd);
	fd = lock_acquire(path, 0, &e);
	ok(fd >= 0, "again once it is closed");
	close(fd);
}

static void dropped_at_death(void)
{
	pid_t child = holder(60000);
	int fd;

	is_int(lock_acquire(path, 0, NULL), -EBUSY, "held by a process that lives");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	fd = lock_acquire(path, 0, NULL);
	ok(fd >= 0, "free when it was killed");
	close(fd);
}

static void waits(int64_t wait_ns, const char *what)
{
	pid_t child = holder(100);
	int fd = lock_acquire(path, wait_ns, NULL);

	ok(fd >= 0, "%s", what);
	close(fd);
	waitpid(child, NULL, 0);
}

/* Belonging to the open file and not to the process, they can be tried within one. */
static void bytes(void)
{
	int a = open(path, O_RDWR | O_CLOEXEC), b = open(path, O_RDWR | O_CLOEXEC);

	is_int(lock_byte(a, 7), 0, "a byte behind the end of a file");
	is_int(lock_byte(a, 7), 0, "again by its holder");
	is_int(lock_byte(b, 7), -EAGAIN, "not by another");
	is_int(lock_byte(b, 8), 0, "who can have the next");
	ok(lock_byte_held(b, 7) && lock_byte_held(a, 8), "each sees the other's");
	ok(!lock_byte_held(a, 7) && !lock_byte_held(a, 9), "but not its own, nor what nobody has");
	unlock_byte(a, 7);
	is_int(lock_byte(b, 7), 0, "given back, it is free");
	close(b);
	is_int(lock_byte(a, 7), 0, "as it is when its holder is gone");
	is_int(lock_byte(a, 8), 0, "all that it had");
	is_int(lock_byte(-1, 0), -EBADF, "none of no file");
	close(a);
}

static void planted(void)
{
	struct mn_error e = MN_ERROR_INIT;
	char link[310], missing[310];

	snprintf(link, sizeof(link), "%s.link", path);
	snprintf(missing, sizeof(missing), "%s/none", path);
	if (symlink(path, link) < 0)
		return;
	is_int(lock_acquire(link, 0, &e), -ELOOP, "a symbolic link in its place is not followed");
	is_int(lock_acquire(missing, 0, &e), -ENOTDIR, "a path that cannot be");
	ok(strstr(e.text, missing) != NULL, "is named");
}

int main(void)
{
	int root = scratch_open();

	snprintf(path, sizeof(path), "%s/lock", scratch_path);
	one_at_a_time();
	dropped_at_death();
	waits(60 * NS_PER_S, "waited for");
	waits(INT64_MAX, "waited for without end");
	bytes();
	planted();
	close(root);
	return done_testing();
}
