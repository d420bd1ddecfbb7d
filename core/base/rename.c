#include "base/rename.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool name_taken(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * 9p knows no flags of renameat2(2) and says EINVAL; there link(2) is the atomic test. A link
 * counts as an inode on tmpfs, and when there is none left only the test that another job could
 * slip through remains.
 */
int rename_new(int fromfd, const char *from, int tofd, const char *to)
{
	if (syscall(SYS_renameat2, fromfd, from, tofd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(fromfd, from, tofd, to, 0) == 0)
		return unlinkat(fromfd, from, 0) < 0 ? -errno : 0;
	if (errno != ENOSPC && errno != EPERM && errno != EOPNOTSUPP)
		return -errno;
	if (name_taken(tofd, to))
		return -EEXIST;
	return renameat(fromfd, from, tofd, to) < 0 ? -errno : 0;
}
