#include "host/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

/* Where others than this host reach it, in words. */
static void warn_open(const union address *a)
{
	char text[INET6_ADDRSTRLEN] = "";
	const void *at = a->any.sa_family == AF_INET ? (const void *)&a->in4.sin_addr
						     : (const void *)&a->in6.sin6_addr;

	if (!is_loopback(a))
		log_warn("listening on %s: clients are neither encrypted nor authenticated; that "
			 "is for a front server (see memnet-stream(1))",
			 inet_ntop(a->any.sa_family, at, text, sizeof(text)));
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
			       "net.ipv4.tcp_%s_congestion_control)",
			       name, errno == EPERM ? "allowed" : "available");
	return 0;
}

/*
 * A client at the edge of a live object that does not grow is sent nothing: that it has gone
 * without a word, a laptop closed, is found by this in two minutes.
 */
static void set_keepalive(int fd)
{
	const int on = 1, idle_s = 60, interval_s = 10, probes = 6;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* Has sockets that are accepted from it be as the options say. */
static int prepare(int fd, const struct server_options *o, struct mn_error *e)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	set_keepalive(fd);
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
	err = prepare(fd, o, e);
	if (err)
		return err;
	if (bind(fd, &a.any, size) < 0 || listen(fd, BACKLOG) < 0) {
		err = errno;
		mn_fail(e, err == EADDRINUSE ? MN_BUSY : MN_FAILED, err, "%s:%u: %s%s", at->addr,
			at->port, strerror(err),
			err == EADDRINUSE ? " (another server has it; port 0 takes any)" : "");
		return -err;
	}
	warn_open(&a);
	return STEAL_FD(fd);
}

int listen_handed(int fd, int count, const struct server_options *o, struct mn_error *e)
{
	union address a = {0};
	socklen_t size = sizeof(a);

	if (count != 1)
		return mn_fail(e, MN_FAILED, EINVAL,
			       "%d sockets handed over: want one (in the socket unit, one "
			       "ListenStream=)",
			       count);
	if (getsockname(fd, &a.any, &size) < 0 ||
	    (a.any.sa_family != AF_INET && a.any.sa_family != AF_INET6))
		return mn_fail(e, MN_FAILED, EAFNOSUPPORT,
			       "the socket handed over: not one of TCP (in the socket unit, "
			       "ListenStream=ADDRESS:PORT)");
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	warn_open(&a);
	return prepare(fd, o, e);
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
