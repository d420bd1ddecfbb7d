#include "host/rtsp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "host/rtsp_conn.h"

#define IDLE_NS	   (75 * NS_PER_S) /* without a request, while nothing is played */
#define READS_MAX  64		   /* at once: no client has that much to say */
#define PORT_TRIES 64

/* ---- life ---- */

void rtsp_conn_leave(struct rtsp_conn *c)
{
	if (c->flow)
		rtsp_flow_leave(c);
	c->session = 0;
}

static void conn_end(struct rtsp_conn *c)
{
	struct worker *w = c->server->worker;

	rtsp_conn_leave(c);
	loop_remove(&w->loop, &c->watch);
	loop_timer_clear(&w->loop, &c->idle);
	list_remove(&c->all);
	c->server->count--;
	close(c->watch.fd);
	free(c->out);
	free(c);
}

void rtsp_conn_rest(struct rtsp_conn *c)
{
	struct loop *loop = &c->server->worker->loop;

	if (c->plays)
		loop_timer_clear(loop, &c->idle);
	else if (loop_timer_set(loop, &c->idle, loop->now_ns + IDLE_NS))
		c->lost = true;
}

/* ---- output ---- */

static void flush(struct rtsp_conn *c)
{
	while (c->out_size > c->out_at && !c->lost) {
		const ssize_t n = send(c->watch.fd, c->out + c->out_at, c->out_size - c->out_at,
				       MSG_NOSIGNAL);

		if (n < 0) {
			c->lost = errno != EAGAIN;
			return;
		}
		c->out_at += (size_t)n;
	}
	c->out_at = c->out_size = 0;
}

bool rtsp_conn_put(struct rtsp_conn *c, const void *data, size_t size, size_t room)
{
	if (!c->out)
		c->out = malloc(RTSP_OUT_MAX);
	if (!c->out) {
		c->lost = true;
		return false;
	}
	if (c->out_at > 0 && c->out_size + size > room) {
		memmove(c->out, c->out + c->out_at, c->out_size - c->out_at);
		c->out_size -= c->out_at;
		c->out_at = 0;
	}
	if (c->out_size + size > room)
		return false;
	memcpy(c->out + c->out_size, data, size);
	c->out_size += size;
	return true;
}

/* ---- input ---- */

static void drop_input(struct rtsp_conn *c, size_t size)
{
	const size_t here = size < c->in_size ? size : c->in_size;

	c->skip += size - here;
	c->in_size -= here;
	memmove(c->in, c->in + here, c->in_size);
	c->scanned = 0;
}

/* True: there may be more. */
static bool take_input(struct rtsp_conn *c)
{
	struct rtsp_request r;
	size_t head;
	int status;

	if (c->in_size == 0)
		return false;
	if (c->in[0] == '$') { /* a receiver's report */
		if (c->in_size < 4)
			return false;
		drop_input(c, 4U + ((size_t)(uint8_t)c->in[2] << 8 | (uint8_t)c->in[3]));
		return true;
	}
	head = http_head_size(c->in, c->in_size, &c->scanned);
	if (!head) {
		c->lost |= c->in_size == sizeof(c->in);
		return false;
	}
	status = rtsp_request_parse(c->in, head, c->server->groups != NULL, &r);
	if (status)
		rtsp_refuse(c, &r, status);
	else
		rtsp_answer(c, &r);
	if (status == 400) {
		flush(c);
		c->lost = true;
		return false;
	}
	rtsp_conn_rest(c);
	drop_input(c, head + r.body);
	return true;
}

static void read_all(struct rtsp_conn *c)
{
	for (int i = 0; !c->lost; i++) {
		char waste[4096];
		const size_t room = c->skip > 0
					    ? (c->skip < sizeof(waste) ? c->skip : sizeof(waste))
					    : sizeof(c->in) - c->in_size;
		const ssize_t n =
			recv(c->watch.fd, c->skip > 0 ? waste : c->in + c->in_size, room, 0);

		if (n <= 0) {
			c->lost |= n == 0 || errno != EAGAIN;
			return;
		}
		c->lost |= i == READS_MAX;
		if (c->skip > 0) {
			c->skip -= (size_t)n;
			continue;
		}
		c->in_size += (size_t)n;
		while (!c->lost && c->skip == 0 && take_input(c))
			;
	}
}

void rtsp_conn_settle(struct rtsp_conn *c)
{
	if (!c->lost)
		flush(c);
	if (c->lost)
		conn_end(c);
}

static void conn_ready(struct watch *watch, uint32_t events)
{
	struct rtsp_conn *c = container_of(watch, struct rtsp_conn, watch);

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		read_all(c);
	rtsp_conn_settle(c);
}

static void idle_for_too_long(struct timer *t)
{
	conn_end(container_of(t, struct rtsp_conn, idle));
}

/* ---- clients ---- */

static void set_options(int fd)
{
	const int on = 1, idle = 30, timeout_ms = 60000;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

static void accept_ready(struct watch *watch, uint32_t events)
{
	struct rtsp *s = container_of(watch, struct rtsp, listener.watch);
	struct loop *loop = &s->worker->loop;
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	const int fd = acceptor_take(&s->listener, (struct sockaddr *)&peer, &size);
	struct rtsp_conn *c = fd >= 0 && s->count < RTSP_CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;

	(void)events;
	if (!c) {
		if (fd >= 0)
			close(fd);
		else if (acceptor_full(fd))
			worker_full(s->worker, fd);
		return;
	}
	set_options(fd);
	c->watch = (struct watch){fd, conn_ready};
	c->idle.fire = idle_for_too_long;
	c->server = s;
	c->peer = peer;
	list_init(&c->all);
	list_init(&c->member);
	list_append(&s->conns, &c->all);
	s->count++;
	s->worker->counters.accepted++;
	survey_expect(s->worker);
	rtsp_conn_rest(c);
	if (c->lost || loop_add(loop, &c->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))
		conn_end(c);
}

static int bind_pair(const struct sockaddr *address, socklen_t size, int fds[2])
{
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} a;
	cleanup_fd int first = -1, second = -1;
	/* The port is at the same place in both. */
	in_port_t *port = &a.in4.sin_port;

	memcpy(&a, address, size);
	*port = 0;
	first = socket(a.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	second = socket(a.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (first < 0 || second < 0 || bind(first, &a.any, size) < 0 ||
	    getsockname(first, &a.any, &size) < 0)
		return -errno;
	if (ntohs(*port) % 2)
		return -EAGAIN;
	*port = htons((uint16_t)(ntohs(*port) + 1));
	if (bind(second, &a.any, size) < 0)
		return -EAGAIN;
	fds[0] = STEAL_FD(first);
	fds[1] = STEAL_FD(second);
	return ntohs(*port) - 1;
}

static int set_up_groups(const struct multicast_range *groups, const struct multicast_way *way,
			 int family, const int fds[2], struct mn_error *e)
{
	const struct sockaddr *to = &groups->first.any;
	int err;

	if (to->sa_family == AF_UNSPEC)
		return 0;
	if (to->sa_family != family)
		return mn_fail(e, MN_USAGE, EAFNOSUPPORT,
			       "--multicast and --rtsp: want addresses of one kind, IPv4 or IPv6");
	err = multicast_set(fds[0], to, way, e);
	return err ? err : multicast_set(fds[1], to, way, e);
}

int rtsp_bind(const struct sockaddr *address, socklen_t size, const struct multicast_range *groups,
	      const struct multicast_way *way, int fds[2], struct mn_error *e)
{
	int port = -EAGAIN;

	for (int i = 0; i < PORT_TRIES && port == -EAGAIN; i++)
		port = bind_pair(address, size, fds);
	return port < 0 ? mn_fail_errno(e, -port, "RTP ports")
			: set_up_groups(groups, way, address->sa_family, fds, e);
}

int rtsp_init(struct rtsp *s, struct worker *worker, int listenfd, const int fds[2],
	      const struct multicast_range *groups)
{
	struct sockaddr_in6 a;
	socklen_t size = sizeof(a);

	*s = (struct rtsp){.worker = worker, .groups = groups, .rtpfd = fds[0], .rtcpfd = fds[1]};
	list_init(&s->conns);
	list_init(&s->flows);
	/* Of IPv4 and of IPv6 alike, the port is behind the family. */
	if (getsockname(fds[0], (struct sockaddr *)&a, &size) < 0)
		return -errno;
	s->port = ntohs(a.sin6_port);
	return acceptor_start(&s->listener, &worker->loop, listenfd, EPOLLIN, accept_ready);
}

void rtsp_survey(const struct rtsp *s)
{
	if (!s->worker)
		return;
	for (const struct list *l = s->conns.next; l != &s->conns; l = l->next) {
		const struct rtsp_conn *c = list_entry(l, struct rtsp_conn, all);

		if (c->flow && c->flow->members.next == &c->member)
			rtsp_flow_survey(c->flow);
	}
}

void rtsp_fini(struct rtsp *s)
{
	struct list *l;

	if (!s->worker)
		return;
	acceptor_stop(&s->listener);
	while ((l = list_first(&s->conns)) != NULL) {
		struct rtsp_conn *c = list_entry(l, struct rtsp_conn, all);

		if (c->plays && !c->transport.multicast && player_report(&c->flow->player, true))
			flush(c);
		conn_end(c);
	}
	s->worker = NULL;
}
