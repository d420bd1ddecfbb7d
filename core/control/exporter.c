#include "control/exporter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "control/figures.h"

#define HEAD_ROOM    256 /* before the body, for the head that has its size */
#define QUESTION_MAX 4095

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

static void cut_off(struct exporter *x)
{
	if (x->client.fd < 0)
		return;
	loop_timer_clear(x->loop, &x->deadline);
	loop_remove(x->loop, &x->client);
	close(x->client.fd);
	x->client.fd = -1;
	loop_change(x->loop, &x->listener.watch, EPOLLIN); /* the next one */
}

/* Sends on, when there is room again if need be. */
static void send_more(struct exporter *x)
{
	ssize_t n =
		send(x->client.fd, x->buf + x->from, x->to - x->from, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		cut_off(x);
		return;
	}
	x->from += n > 0 ? (size_t)n : 0;
	if (x->from == x->to)
		cut_off(x);
	else
		loop_change(x->loop, &x->client, EPOLLOUT);
}

/* `size` bytes are at buf + HEAD_ROOM; the head goes before them. */
static void begin_answer(struct exporter *x, const char *status, size_t size)
{
	char head[HEAD_ROOM];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %s\r\nContent-Type: application/openmetrics-text; "
			 "version=1.0.0; charset=utf-8\r\nContent-Length: %zu\r\n"
			 "Connection: close\r\n\r\n",
			 status, size);

	x->from = HEAD_ROOM - (size_t)n;
	x->to = HEAD_ROOM + size;
	memcpy(x->buf + x->from, head, (size_t)n);
	send_more(x);
}

static void answer(struct exporter *x)
{
	static const char absent[] = "Not Found: figures are at /metrics\n";
	int n;

	if (strncmp(x->buf, "GET /metrics ", 13) != 0 &&
	    strncmp(x->buf, "GET /metrics?", 13) != 0) {
		memcpy(x->buf + HEAD_ROOM, absent, sizeof(absent) - 1);
		begin_answer(x, "404 Not Found", sizeof(absent) - 1);
		return;
	}
	n = figures_format(x->tuner, x->buf + HEAD_ROOM, x->size - HEAD_ROOM);
	begin_answer(x, n < 0 ? "503 Service Unavailable" : "200 OK", n < 0 ? 0 : (size_t)n);
}

static void client_ready(struct watch *w, uint32_t events)
{
	struct exporter *x = container_of(w, struct exporter, client);
	ssize_t n;

	(void)events;
	if (x->to) {
		send_more(x);
		return;
	}
	n = recv(w->fd, x->buf + x->asked, QUESTION_MAX - x->asked, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	x->asked += n > 0 ? (size_t)n : 0;
	x->buf[x->asked] = '\0';
	if (n > 0 && strstr(x->buf, "\r\n\r\n"))
		answer(x);
	else if (n <= 0 || x->asked == QUESTION_MAX)
		cut_off(x);
}

static void client_late(struct timer *t)
{
	cut_off(container_of(t, struct exporter, deadline));
}

static void listener_ready(struct watch *w, uint32_t events)
{
	struct exporter *x = container_of(w, struct exporter, listener.watch);
	int fd = acceptor_take(&x->listener, NULL, NULL);

	(void)events;
	if (fd < 0)
		return;
	x->client.fd = fd;
	x->asked = x->from = x->to = 0;
	if (loop_add(x->loop, &x->client, EPOLLIN) < 0) {
		close(fd);
		x->client.fd = -1;
		return;
	}
	loop_change(x->loop, &x->listener.watch, 0); /* the others wait in the queue */
	loop_timer_set(x->loop, &x->deadline, x->loop->now_ns + EXPORTER_WAIT_NS);
}

/* An IP address or a path, as a socket's; its length, or 0. */
static socklen_t parse(const char *text, unsigned short port, union address *a)
{
	memset(a, 0, sizeof(*a));
	if (text[0] == '/' && strlen(text) < sizeof(a->local.sun_path)) {
		a->local.sun_family = AF_UNIX;
		strcpy(a->local.sun_path, text);
		return sizeof(a->local);
	}
	if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons(port);
		return sizeof(a->v4);
	}
	if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) != 1)
		return 0;
	a->v6.sin6_family = AF_INET6;
	a->v6.sin6_port = htons(port);
	return sizeof(a->v6);
}

/* A socket that a killed loop left; nobody listens on it. */
static void remove_stale(const union address *a, socklen_t size)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (a->any.sa_family != AF_UNIX || lstat(a->local.sun_path, &st) < 0 ||
	    !S_ISSOCK(st.st_mode))
		return;
	/* Of one that listens the queue may be full. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, &a->any, size) < 0 && errno == ECONNREFUSED)
		unlink(a->local.sun_path);
}

static int listen_at(const union address *a, socklen_t size)
{
	cleanup_fd int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &a->any, size) < 0 || listen(fd, 16) < 0)
		return -errno;
	return STEAL_FD(fd);
}

int exporter_open(struct exporter *x, struct loop *loop, const struct tuner *tuner,
		  const char *address, unsigned short port, char *buf, size_t size,
		  struct mn_error *e)
{
	union address a;
	socklen_t len = parse(address, port, &a);
	int fd, err;

	*x = (struct exporter){.loop = loop, .tuner = tuner, .buf = buf, .size = size};
	x->client = (struct watch){-1, client_ready};
	x->deadline.fire = client_late;
	x->listener.watch.fd = -1;
	if (!len)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "bad address \"%.64s\": want an IP address and a port, or the path "
			       "of a socket",
			       address);
	remove_stale(&a, len);
	fd = listen_at(&a, len);
	if (fd < 0)
		return mn_fail_errno(e, -fd, "metrics on %s", address);
	if (a.any.sa_family == AF_UNIX)
		strcpy(x->path, a.local.sun_path);
	err = acceptor_start(&x->listener, loop, fd, EPOLLIN, listener_ready);
	return err ? mn_fail_errno(e, -err, "metrics on %s", address) : 0;
}

void exporter_close(struct exporter *x)
{
	if (!x->loop || x->listener.watch.fd < 0)
		return;
	cut_off(x);
	acceptor_stop(&x->listener);
	close(x->listener.watch.fd);
	x->listener.watch.fd = -1;
	if (x->path[0])
		unlink(x->path);
}
