#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

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
