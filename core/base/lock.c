#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

int lock_acquire(const char *path, int64_t wait_ns, struct mn_error *e)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int64_t began = clock_ns();

	if (fd < 0)
		return mn_fail_errno(e, errno, "%s", path);
	/* flock(2) has no deadline of its own; a look every 5 ms costs less than a signal handler.
	 */
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return mn_fail_errno(e, errno, "%s", path);
		if (clock_ns() - began >= wait_ns)
			return mn_fail(
				e, MN_BUSY, EBUSY,
				"another memnet command is at work on it (try again, or wait "
				"longer with --wait DURATION)");
		poll(NULL, 0, 5);
	}
	return STEAL_FD(fd);
}

static int byte_control(int fd, int command, short type, off_t byte, struct flock *lock)
{
	*lock = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	return fcntl(fd, command, lock) < 0 ? -errno : 0;
}

int lock_byte(int fd, off_t byte)
{
	struct flock lock;
	int err = byte_control(fd, F_OFD_SETLK, F_WRLCK, byte, &lock);

	return err == -EACCES ? -EAGAIN : err;
}

int lock_byte_shared(int fd, off_t byte)
{
	struct flock lock;
	int err = byte_control(fd, F_OFD_SETLK, F_RDLCK, byte, &lock);

	return err == -EACCES ? -EAGAIN : err;
}

void unlock_byte(int fd, off_t byte)
{
	struct flock lock;

	byte_control(fd, F_OFD_SETLK, F_UNLCK, byte, &lock);
}

bool lock_byte_held(int fd, off_t byte)
{
	struct flock lock;

	return byte_control(fd, F_OFD_GETLK, F_WRLCK, byte, &lock) == 0 && lock.l_type != F_UNLCK;
}
