#include "host/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/server.h"

#define BACKLOG 4096

socklen_t listen_address(const struct endpoint *at, union address *a)
{
	*a = (union address){0};
	if (inet_pton(AF_INET, at->addr, &a->in4.sin_addr) == 1) {
		a->in4.sin_family = AF_INET;
		a->in4.sin_port = htons(at->port);
		return sizeof(a->in4);
	}
	if (inet_pton(AF_INET6, at->addr, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(at->port);
		return sizeof(a->in6);
	}
	return 0;
}

static bool is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET)
		return ntohl(a->in4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

/* Left alone where the system does not have it, or does not let us. */
#define CONGESTION_DEFAULT "cubic"

static int set_congestion(int fd, const char *name)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

int listen_congestion(int fd, const char *name, struct mn_error *e)
{
	if (!name)
		set_congestion(fd, CONGESTION_DEFAULT);
	else if (set_congestion(fd, name) < 0)
		return mn_fail(e, MN_FAILED, errno,
			       "%s: congestion control not available (see sysctl "
			       "net.ipv4.tcp_available_congestion_control)",
			       name);
	return 0;
}

int listen_inherit(int fd, const struct server_options *o, struct mn_error *e)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return listen_congestion(fd, o->congestion, e);
}

int listen_open(const struct server_options *o, const struct endpoint *at, struct mn_error *e)
{
	cleanup_fd int fd = -1;
	const int on = 1;
	union address a;
	socklen_t size = listen_address(at, &a);
	int err;

	if (!size)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "%s: not an IP address (names are not looked up)", at->addr);
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return mn_fail_errno(e, errno, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	err = listen_inherit(fd, o, e);
	if (err)
		return err;
	if (bind(fd, &a.any, size) < 0 || listen(fd, BACKLOG) < 0) {
		err = errno;
		mn_fail(e, err == EADDRINUSE ? MN_BUSY : MN_FAILED, err, "%s:%u: %s%s", at->addr,
			at->port, strerror(err),
			err == EADDRINUSE ? " (another server has it; port 0 takes any)" : "");
		return -err;
	}
	if (!is_loopback(&a))
		log_warn("listening on %s: clients are neither encrypted nor authenticated; that "
			 "is for a front server (see memnet-stream(1))",
			 at->addr);
	return STEAL_FD(fd);
}

void listen_url(int fd, const char *scheme, char *url, size_t size)
{
	union address a = {0};
	socklen_t len = sizeof(a);
	char text[INET6_ADDRSTRLEN];

	if (getsockname(fd, &a.any, &len) < 0)
		log_debug("getsockname: %s", strerror(errno));
	if (a.any.sa_family == AF_INET6)
		snprintf(url, size, "%s://[%s]:%u", scheme,
			 inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof(text)),
			 ntohs(a.in6.sin6_port));
	else
		snprintf(url, size, "%s://%s:%u", scheme,
			 inet_ntop(AF_INET, &a.in4.sin_addr, text, sizeof(text)),
			 ntohs(a.in4.sin_port));
}
