#include "space/tmpfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* <sys/mount.h> declares some of these in some C libraries, and conflicts with <linux/mount.h>. */
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#	define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
enum { UMOUNT_LAZILY = 2, UMOUNT_NOFOLLOWING = 8 };

static int sys_fsconfig(int fd, unsigned cmd, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fd, cmd, key, value, 0);
}

/* The kernel's last word on a context, "e tmpfs: Too small a size for current use"; or errno's. */
static int fail_context(int fd, int err, const char *what, struct mn_error *e)
{
	char message[200], *text = NULL;
	ssize_t n;

	while ((n = read(fd, message, sizeof(message) - 1)) > 0) {
		message[n] = '\0';
		if (message[0] != 'e')
			continue;
		text = strstr(message, ": ");
		text = text ? text + 2 : message + 2;
		text[strcspn(text, "\n")] = '\0';
		break;
	}
	if (!text)
		return mn_fail_errno(e, err, "tmpfs: %s", what);
	return mn_fail(e, strstr(text, "Too ") ? MN_REFUSED : MN_FAILED, err, "tmpfs: %s: %s", what,
		       text);
}

static int set_string(int fd, const char *key, const char *value, struct mn_error *e)
{
	char what[96];

	if (sys_fsconfig(fd, FSCONFIG_SET_STRING, key, value) == 0)
		return 0;
	snprintf(what, sizeof(what), "%s=%.64s", key, value);
	return fail_context(fd, errno, what, e);
}

static int set_number(int fd, const char *key, uint64_t value, struct mn_error *e)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return set_string(fd, key, text, e);
}

/* What can be set at any time. */
static int set_live_options(int fd, const struct tmpfs_options *o, struct mn_error *e)
{
	int err = 0;

	if (o->size_bytes)
		err = set_number(fd, "size", o->size_bytes, e);
	if (!err && o->inodes)
		err = set_number(fd, "nr_inodes", o->inodes, e);
	if (!err && o->huge)
		err = set_string(fd, "huge", o->huge, e);
	if (!err && o->mpol)
		err = set_string(fd, "mpol", o->mpol, e);
	return err;
}

static int set_first_options(int fd, const struct tmpfs_options *o, struct mn_error *e)
{
	char mode[8];
	int err = set_string(fd, "source", TMPFS_SOURCE, e);

	snprintf(mode, sizeof(mode), "%o", o->mode & 07777);
	if (!err)
		err = set_string(fd, "mode", mode, e);
	if (!err)
		err = set_number(fd, "uid", o->uid, e);
	if (!err)
		err = set_number(fd, "gid", o->gid, e);
	if (!err && o->noswap && sys_fsconfig(fd, FSCONFIG_SET_FLAG, "noswap", NULL) < 0)
		err = fail_context(fd, errno, "noswap", e);
	return err;
}

int tmpfs_make(const struct tmpfs_options *o, struct mn_error *e)
{
	cleanup_fd int fd = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	long mountfd;
	int err;

	if (fd < 0)
		return mn_fail_errno(e, errno, "tmpfs");
	err = set_first_options(fd, o, e);
	if (!err)
		err = set_live_options(fd, o, e);
	if (err)
		return err;
	if (sys_fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
		return fail_context(fd, errno, "create", e);
	mountfd = syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC,
			  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
				  MOUNT_ATTR_NOSYMFOLLOW);
	if (mountfd < 0)
		return fail_context(fd, errno, "mount", e);
	return (int)mountfd;
}

int tmpfs_place(int mountfd, int dirfd, const char *name, struct mn_error *e)
{
	if (syscall(SYS_move_mount, mountfd, "", dirfd, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return mn_fail_errno(e, errno, "cannot mount on %s", name);
	return 0;
}

static int reconfigure_context(int rootfd, struct mn_error *e)
{
	int fd = (int)syscall(SYS_fspick, rootfd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);

	return fd < 0 ? mn_fail_errno(e, errno, "tmpfs") : fd;
}

int tmpfs_reconfigure(int rootfd, const struct tmpfs_options *o, struct mn_error *e)
{
	cleanup_fd int fd = reconfigure_context(rootfd, e);
	int err;

	if (fd < 0)
		return fd;
	err = set_live_options(fd, o, e);
	if (err)
		return err;
	/* A destroy that was killed half-way may have left it frozen. */
	if (sys_fsconfig(fd, FSCONFIG_SET_FLAG, "rw", NULL) < 0 ||
	    sys_fsconfig(fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL) < 0)
		return fail_context(fd, errno, "reconfigure", e);
	return 0;
}

static int set_writable(int rootfd, const char *flag, struct mn_error *e)
{
	cleanup_fd int fd = reconfigure_context(rootfd, e);

	if (fd < 0)
		return fd;
	if (sys_fsconfig(fd, FSCONFIG_SET_FLAG, flag, NULL) < 0 ||
	    sys_fsconfig(fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL) < 0)
		return fail_context(fd, errno, flag, e);
	return 0;
}

int tmpfs_freeze(int rootfd, struct mn_error *e)
{
	return set_writable(rootfd, "ro", e);
}

int tmpfs_thaw(int rootfd, struct mn_error *e)
{
	return set_writable(rootfd, "rw", e);
}

static int set_read_only(int mountfd, bool read_only)
{
	struct mount_attr attr = {.attr_set = read_only ? MOUNT_ATTR_RDONLY : 0,
				  .attr_clr = read_only ? 0 : MOUNT_ATTR_RDONLY};

	return syscall(SYS_mount_setattr, mountfd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0
		       ? -errno
		       : 0;
}

int tmpfs_protect(int mountfd)
{
	return set_read_only(mountfd, true);
}

int tmpfs_writable_clone(int rootfd)
{
	cleanup_fd int fd = (int)syscall(SYS_open_tree, rootfd, "",
					 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	int err;

	if (fd < 0)
		return -errno;
	err = set_read_only(fd, false);
	return err ? err : STEAL_FD(fd);
}

int tmpfs_unmount(const char *path, bool lazily)
{
	int flags = UMOUNT_NOFOLLOWING | (lazily ? UMOUNT_LAZILY : 0);

	return syscall(SYS_umount2, path, flags) < 0 ? -errno : 0;
}
