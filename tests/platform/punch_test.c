/*
 * What core/host/release.h says of tmpfs: a page that sendfile(2) put into a socket stays as it is
 * when it is punched out of its file, if it is punched out whole. A part of a huge page does not:
 * the kernel writes zeroes over it, where the socket's receiver still reads it. And st_blksize
 * tells which pages a file has.
 */
#include "tests/tap.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE_PAGE ((off_t)2 << 20)
#define SENT	  (128 * 1024)

/* A tmpfs in a mount namespace of our own, on /tmp there. Whether that could be had. */
static bool mount_own(const char *options)
{
	static bool separate;

	if (!separate && unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	separate = true;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", "/tmp", "tmpfs", 0, options) == 0;
}

/* A file of four huge pages' size, each byte 'x'. */
static int make_file(void)
{
	static char piece[1 << 20];
	int fd = open("/tmp/object", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	memset(piece, 'x', sizeof(piece));
	for (off_t at = 0; at < 4 * HUGE_PAGE; at += sizeof(piece)) {
		if (write(fd, piece, sizeof(piece)) != sizeof(piece))
			abort();
	}
	return fd;
}

/* Sends from the file's start, punches [0, size) out of it, receives. How many bytes changed. */
static int changed_by_punch(int fd, off_t size)
{
	int pair[2], changed = 0;
	char got[SENT];
	off_t at = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		abort();
	if (sendfile(pair[0], fd, &at, SENT) != SENT)
		abort();
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size) < 0)
		abort();
	if (recv(pair[1], got, sizeof(got), MSG_WAITALL) != SENT)
		abort();
	for (int i = 0; i < SENT; i++)
		changed += got[i] != 'x';
	close(pair[0]);
	close(pair[1]);
	return changed;
}

static blksize_t reported_page(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_blksize : -1;
}

static void test_small_pages(void)
{
	int fd = make_file();

	is_int(reported_page(fd), sysconf(_SC_PAGESIZE),
	       "st_blksize tells pages of the usual size");
	is_int(changed_by_punch(fd, SENT), 0, "punched pages stay whole in a socket");
	close(fd);
}

static void test_huge_pages(void)
{
	int fd = make_file();

	is_int(reported_page(fd), HUGE_PAGE, "st_blksize tells huge pages");
	is_int(changed_by_punch(fd, HUGE_PAGE), 0, "a punched huge page stays whole in a socket");
	close(fd);
	fd = make_file();
	diag("%d of %d bytes in a socket changed when a part of a huge page was punched",
	     changed_by_punch(fd, SENT), SENT);
	close(fd);
}

int main(void)
{
	if (mount_own("size=32M,huge=never")) {
		test_small_pages();
		umount("/tmp");
	} else {
		skip(2, "no mount namespace, or tmpfs without huge=");
	}
	if (mount_own("size=32M,huge=within_size"))
		test_huge_pages();
	else
		skip(2, "tmpfs without huge=within_size");
	return done_testing();
}
