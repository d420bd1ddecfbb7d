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

static int by_flag(int fromfd, const char *from, int tofd, const char *to)
{
	return syscall(SYS_renameat2, fromfd, from, tofd, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

static int by_link(int fromfd, const char *from, int tofd, const char *to)
{
	if (linkat(fromfd, from, tofd, to, 0) < 0)
		return -errno;
	return unlinkat(fromfd, from, 0) < 0 ? -errno : 0;
}

static bool no_flag(int err)
{
	return err == -EINVAL || err == -ENOSYS;
}

static bool no_link(int err)
{
	return err == -ENOSPC || err == -EPERM || err == -EOPNOTSUPP;
}

static int by_look(int fromfd, const char *from, int tofd, const char *to)
{
	if (name_taken(tofd, to))
		return -EEXIST;
	return renameat(fromfd, from, tofd, to) < 0 ? -errno : 0;
}

/*
 * 9p knows no flags of renameat2(2) and says EINVAL; there link(2) is the atomic test. A link
 * counts as an inode on tmpfs, and when there is none left only the test that another job could
 * slip through remains.
 */
int rename_new(int fromfd, const char *from, int tofd, const char *to)
{
	int err = by_flag(fromfd, from, tofd, to);

	if (!no_flag(err))
		return err;
	err = by_link(fromfd, from, tofd, to);
	return no_link(err) ? by_look(fromfd, from, tofd, to) : err;
}

int rename_new_file(int fromfd, const char *from, int tofd, const char *to)
{
	int err = by_link(fromfd, from, tofd, to);

	if (!no_link(err))
		return err;
	err = by_flag(fromfd, from, tofd, to);
	return no_flag(err) ? by_look(fromfd, from, tofd, to) : err;
}
