/*
 * What core/host relies on when it sends a guest's file from a mapping, or by sendfile(2): a file
 * that is truncated meanwhile is an error of the call, or a short count, and never a signal.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tests/scratch.h"
#include "tests/tap.h"

#define SIZE (4 * 4096)

static int make(int root)
{
	static char data[SIZE];
	int fd;

	memset(data, 'x', sizeof(data));
	scratch_file(root, "x", data, sizeof(data));
	fd = openat(root, "x", O_RDWR | O_CLOEXEC);
	return fd;
}

static ssize_t send_from(int sock, void *map)
{
	char head[] = "head";
	struct iovec pieces[] = {{head, 4}, {map, SIZE}};
	const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};

	return sendmsg(sock, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int main(void)
{
	int root = scratch_open(), fd = make(root), socks[2];
	void *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	off_t at = 0;
	ssize_t n;

	ok(fd >= 0 && map != MAP_FAILED, "a mapping");
	ok(socketpair(AF_UNIX, SOCK_STREAM, 0, socks) == 0, "a socket");
	is_int(send_from(socks[0], map), SIZE + 4, "all of it is sent");
	if (ftruncate(fd, 4096) < 0)
		return 1;
	n = send_from(socks[0], map);
	ok(n < 0 ? errno == EFAULT : n <= 4 + 4096, "truncated: EFAULT, or as far as it goes");
	if (ftruncate(fd, 0) < 0)
		return 1;
	n = send_from(socks[0], map);
	ok(n < 0 ? errno == EFAULT : n <= 4, "emptied: EFAULT, or the head alone");
	is_int(sendfile(socks[0], fd, &at, SIZE), 0, "sendfile at the end is 0");
	return done_testing();
}
