/* tmpfs made, placed, changed, frozen: on the running kernel. */
#include <errno.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "space/tmpfs.h"
#include "tests/space/namespace.h"

#define MB (1024 * 1024)

static const struct tmpfs_options plain = {.size_bytes = 4 * MB, .inodes = 100, .mode = 0700};

static unsigned long flags_of(int fd)
{
	struct statvfs v;

	return fstatvfs(fd, &v) < 0 ? 0 : v.f_flag;
}

static uint64_t size_of(int fd)
{
	struct statvfs v;

	return fstatvfs(fd, &v) < 0 ? 0 : (uint64_t)v.f_blocks * v.f_frsize;
}

static int fill(int rootfd, const char *name, size_t size)
{
	static const char block[MB];
	cleanup_fd int fd = openat(rootfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	for (; size > 0; size -= MB) {
		if (write(fd, block, MB) != MB)
			return -errno;
	}
	return 0;
}

#define SAFE (ST_NOSUID | ST_NODEV | ST_NOEXEC)

static void test_make(void)
{
	struct mn_error e = MN_ERROR_INIT;
	cleanup_fd int fd = tmpfs_make(&plain, &e);
	struct statvfs v;
	struct stat st;

	if (!ok(fd >= 0, "made: %s", e.text))
		return;
	is_int((intmax_t)(flags_of(fd) & SAFE), SAFE, "nosuid, nodev, noexec");
	is_int((intmax_t)size_of(fd), 4 * MB, "size");
	is_int(fstatvfs(fd, &v), 0, "statvfs");
	is_int((intmax_t)v.f_files, 100, "inodes");
	is_int(fstat(fd, &st), 0, "stat");
	is_int(st.st_mode & 07777, 0700, "mode");
	is_int(symlinkat("x", fd, "link"), 0, "a symbolic link can be there");
	is_int(openat(fd, "link/y", O_RDONLY | O_CLOEXEC), -1, "but not be followed");
	is_int(errno, ELOOP, "by anyone on the host");
	is_int(access("/tmp/x", F_OK), -1, "it is nowhere in the tree");
}

static void test_place(void)
{
	struct mn_error e = MN_ERROR_INIT;
	cleanup_fd int fd = tmpfs_make(&plain, &e);

	mkdir("/tmp/x", 0700);
	is_int(fill(fd, "file", MB), 0, "written before it is placed");
	is_int(tmpfs_place(fd, AT_FDCWD, "/tmp/x", &e), 0, "placed");
	is_int(access("/tmp/x/file", F_OK), 0, "and whole from the start");
	is_int(tmpfs_place(fd, AT_FDCWD, "/tmp/nowhere", &e), -ENOENT, "no such folder");
	is_int(tmpfs_unmount("/tmp/x", false), -EBUSY, "busy while we hold it");
	is_int(tmpfs_unmount("/tmp/x", true), 0, "gone lazily");
	is_int(access("/tmp/x/file", F_OK), -1, "from the tree");
	is_int(tmpfs_unmount("/tmp/x", false), -EINVAL, "nothing is left there");
}

static void test_resize(void)
{
	struct mn_error e = MN_ERROR_INIT;
	cleanup_fd int fd = tmpfs_make(&plain, &e);
	struct tmpfs_options o = {.size_bytes = 8 * MB};

	is_int(fill(fd, "a", 3 * MB), 0, "3 MB in 4");
	is_int(tmpfs_reconfigure(fd, &o, &e), 0, "grown");
	is_int((intmax_t)size_of(fd), 8 * MB, "to 8 MB");
	is_int((intmax_t)(flags_of(fd) & SAFE), SAFE, "and as safe as before");
	o.size_bytes = 2 * MB;
	is_int(tmpfs_reconfigure(fd, &o, &e), -EINVAL, "not below what is in it");
	is_int(e.status, MN_REFUSED, "which would lose data");
	ok(strstr(e.text, "Too small a size for current use") != NULL, "in the kernel's words: %s",
	   e.text);
	is_int((intmax_t)size_of(fd), 8 * MB, "and nothing changed");
	o = (struct tmpfs_options){.inodes = 1};
	is_int(tmpfs_reconfigure(fd, &o, &e), -EINVAL, "nor below its inodes");
	is_int(e.status, MN_REFUSED, "likewise");
	o = (struct tmpfs_options){.huge = "nonsense"};
	is_int(tmpfs_reconfigure(fd, &o, &e), -EINVAL, "a value the kernel does not know");
	is_int(e.status, MN_FAILED, "is a plain failure");
	o = (struct tmpfs_options){.mpol = "interleave:0"};
	if (tmpfs_reconfigure(fd, &o, &e) == 0)
		ok(true, "a NUMA policy can change");
	else
		skip(1, "no NUMA here");
	is_int((intmax_t)size_of(fd), 8 * MB, "what is not named stays");
}

static void test_freeze(void)
{
	struct mn_error e = MN_ERROR_INIT;
	cleanup_fd int fd = tmpfs_make(&plain, &e);
	cleanup_fd int writer = openat(fd, "w", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct tmpfs_options o = {.size_bytes = 5 * MB};

	is_int(tmpfs_freeze(fd, &e), -EBUSY, "not while somebody writes");
	close(writer);
	writer = -1;
	is_int(tmpfs_freeze(fd, &e), 0, "frozen");
	is_int(fill(fd, "x", MB), -EBADF, "nobody begins to write");
	is_int(tmpfs_thaw(fd, &e), 0, "thawed");
	is_int(fill(fd, "x", MB), 0, "and writable");
	is_int(tmpfs_freeze(fd, &e), 0, "frozen again");
	is_int(tmpfs_reconfigure(fd, &o, &e), 0, "a new size");
	is_int(fill(fd, "y", MB), 0, "heals what was left frozen");
}

static void test_protect(void)
{
	struct mn_error e = MN_ERROR_INIT;
	cleanup_fd int fd = tmpfs_make(&plain, &e), clone = -1;

	mkdir("/tmp/p", 0700);
	is_int(tmpfs_protect(fd), 0, "the mount is read-only");
	is_int(tmpfs_place(fd, AT_FDCWD, "/tmp/p", &e), 0, "and placed");
	is_int(mkdirat(fd, "d", 0700), -1, "no folder can be made through it");
	is_int(errno, EROFS, "because it is read-only");
	clone = tmpfs_writable_clone(fd);
	ok(clone >= 0, "a clone");
	is_int(mkdirat(clone, "d", 0700), 0, "makes one");
	is_int(access("/tmp/p/d", F_OK), 0, "that is seen there");
	is_int(mkdir("/tmp/p/e", 0700), -1, "where it is still read-only");
	tmpfs_unmount("/tmp/p", true);
}

int main(void)
{
	namespace_enter();
	test_make();
	test_place();
	test_resize();
	test_freeze();
	test_protect();
	return done_testing();
}
