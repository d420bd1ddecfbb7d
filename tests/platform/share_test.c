/* What memnet share takes for granted of the kernel. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "space/probe.h"
#include "space/tmpfs.h"
#include "tests/space/namespace.h"

static const struct tmpfs_options plain = {.size_bytes = 1 << 20, .inodes = 100, .mode = 0700};

/* probe_user_xattr() asks a memfd, so as not to mount: it must answer for tmpfs. */
static void test_xattr(void)
{
	cleanup_fd int root = tmpfs_make(&plain, NULL);
	cleanup_fd int fd = openat(root, "f", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	bool have = fsetxattr(fd, "user.virtfs.mode", "1", 1, 0) == 0;

	is_int(probe_user_xattr(), have, "a memfd takes user.* exactly when a tmpfs does");
}

/* Why spaces are not resized with mount(2). */
static void test_remount(void)
{
	cleanup_fd int root = tmpfs_make(&plain, NULL);
	struct statvfs v;

	mkdir("/tmp/r", 0700);
	tmpfs_place(root, AT_FDCWD, "/tmp/r", NULL);
	is_int(mount(NULL, "/tmp/r", NULL, MS_REMOUNT, "size=2m"), 0, "a bare remount");
	statvfs("/tmp/r", &v);
	is_int((intmax_t)(v.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC)), 0,
	       "drops nosuid, nodev and noexec");
	tmpfs_unmount("/tmp/r", true);
}

/* Why SPACE_SIZE_MIN is not 0. */
static void test_zero(void)
{
	struct tmpfs_options o = plain;
	cleanup_fd int root = -1;
	struct statvfs v;

	root = tmpfs_make(&o, NULL);
	fstatvfs(root, &v);
	ok(v.f_blocks > 0, "a size is a limit");
	mkdir("/tmp/z", 0700);
	is_int(mount("z", "/tmp/z", "tmpfs", 0, "size=0"), 0, "and size=0 is allowed");
	statvfs("/tmp/z", &v);
	is_int((intmax_t)v.f_blocks, 0, "and means none at all");
	umount("/tmp/z");
}

/* What destroy's freeze rests on. */
static void test_freeze_is_for_all_mounts(void)
{
	cleanup_fd int root = tmpfs_make(&plain, NULL), clone = tmpfs_writable_clone(root);

	is_int(tmpfs_freeze(root, NULL), 0, "frozen through one mount");
	is_int(openat(clone, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1,
	       "nothing is written through another");
	is_int(errno, EROFS, "as it is read-only");
}

int main(void)
{
	namespace_enter();
	test_xattr();
	test_remount();
	test_zero();
	test_freeze_is_for_all_mounts();
	return done_testing();
}
