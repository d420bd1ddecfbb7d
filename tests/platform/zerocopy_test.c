/*
 * Why core/host/sender.c does not send with MSG_ZEROCOPY: for a receiver on this host the kernel
 * copies after all, over a veth as over loopback, and says so with its notification.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h> /* needs time.h */

#include "tests/tap.h"

#ifndef SO_ZEROCOPY
#	define SO_ZEROCOPY 60
#endif
#ifndef MSG_ZEROCOPY
#	define MSG_ZEROCOPY 0x4000000
#endif

#define SIZE (256 * 1024)

static int listen_at(const char *address, struct sockaddr_in *a)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*a);

	*a = (struct sockaddr_in){.sin_family = AF_INET};
	inet_pton(AF_INET, address, &a->sin_addr);
	if (bind(fd, (struct sockaddr *)a, size) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)a, &size) < 0)
		abort();
	return fd;
}

/* 1: it was copied, 0: it was not; -1: no notification came. */
static int was_copied(int sock)
{
	char control[128];
	struct msghdr m = {.msg_control = control, .msg_controllen = sizeof(control)};
	struct pollfd p = {.fd = sock};
	const struct sock_extended_err *e;

	if (poll(&p, 1, 20000) <= 0 || recvmsg(sock, &m, MSG_ERRQUEUE) < 0)
		return -1;
	e = (const void *)CMSG_DATA(CMSG_FIRSTHDR(&m));
	return e->ee_origin == SO_EE_ORIGIN_ZEROCOPY ? (e->ee_code & 1) != 0 : -1;
}

static int send_to(const struct sockaddr_in *to)
{
	void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	int copied;

	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) < 0 ||
	    send(fd, map, SIZE, MSG_ZEROCOPY) <= 0)
		abort();
	copied = was_copied(fd);
	close(fd);
	munmap(map, SIZE);
	return copied;
}

static void swallow(int listener)
{
	static char buf[SIZE];
	const int fd = accept(listener, NULL, NULL);

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	_exit(0);
}

static void test_loopback(void)
{
	struct sockaddr_in a;
	const int listener = listen_at("127.0.0.1", &a);
	const pid_t child = fork();

	if (child == 0)
		swallow(listener);
	is_int(send_to(&a), 1, "copied over loopback");
	waitpid(child, NULL, 0);
	close(listener);
}

/* The receiver, in a network of its own; says on `out` that it is there, and then where. */
static void receive(int out, int in)
{
	struct sockaddr_in a = {0};
	char go = 0;
	int listener;

	if (unshare(CLONE_NEWNET) < 0 || write(out, &go, 1) != 1 || read(in, &go, 1) != 1 ||
	    system("ip link set lo up; ip addr add 10.98.7.2/24 dev v1; ip link set v1 up"))
		_exit(1);
	listener = listen_at("10.98.7.2", &a);
	if (write(out, &a, sizeof(a)) != sizeof(a))
		_exit(1);
	swallow(listener);
}

static bool join_by_veth(pid_t child)
{
	char command[200];

	snprintf(command, sizeof(command),
		 "ip link add v0 type veth peer name v1 netns %d && "
		 "ip addr add 10.98.7.1/24 dev v0 && ip link set v0 up",
		 (int)child);
	return system(command) == 0;
}

static void test_veth(void)
{
	struct sockaddr_in a = {0};
	int up[2], down[2];
	pid_t child;
	char go = 0;

	if (pipe(up) < 0 || pipe(down) < 0)
		abort();
	child = fork();
	if (child == 0) {
		close(up[0]);
		close(down[1]);
		receive(up[1], down[0]);
	}
	close(up[1]);
	close(down[0]);
	if (read(up[0], &go, 1) == 1 && join_by_veth(child) && write(down[1], &go, 1) == 1 &&
	    read(up[0], &a, sizeof(a)) == sizeof(a))
		is_int(send_to(&a), 1, "copied over a veth, too");
	else
		skip(1, "no veth to be had");
	close(down[1]);
	close(up[0]);
	waitpid(child, NULL, 0);
}

int main(void)
{
	if (unshare(CLONE_NEWNET) < 0 || system("ip link set lo up") != 0) {
		skip(2, "no network namespace, or no ip(8)");
		return done_testing();
	}
	test_loopback();
	test_veth();
	return done_testing();
}
