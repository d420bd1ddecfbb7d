#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

int confine_open(int rootfd, const char *path, int flags, mode_t mode)
{
	/* openat2(2) refuses what openat(2) ignores: O_PATH has nothing to do with the last two. */
	int added = flags & O_PATH ? O_CLOEXEC : O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct open_how how = {
		.flags = (unsigned)(flags | added),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	long fd;

	/* -EAGAIN: a rename or mount raced with the walk, openat2(2) says to try again. A guest can
	 * keep that up as long as it likes; not with us. */
	for (int tries = 0; tries < 16; tries++) {
		fd = syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return -errno;
}

int confine_open_regular(int rootfd, const char *path, int flags, struct stat *st)
{
	cleanup_fd int fd = confine_open(rootfd, path, flags, 0);

	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	return STEAL_FD(fd);
}
