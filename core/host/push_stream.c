#include "host/push_stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "host/http_request.h"
#include "host/listen.h"
#include "host/push_http.h"

#define CONNECT_NS  (10 * NS_PER_S)
#define STALL_NS    (60 * NS_PER_S)
#define ACK_POLL_NS (3 * NS_PER_MS)
#define TURN_BYTES  (4 * 1024 * 1024)
#define PIECE_MAX   (1024 * 1024)

/* At a rate, so much of it goes at a time; what was late is caught up as far; and another rate
 * holds by then. */
#define QUANTUM_NS  (10 * NS_PER_MS)
#define QUANTUM_MIN 4096
#define SLACK_NS    (40 * NS_PER_MS)
#define CHANGE_NS   (100 * NS_PER_MS)

enum state {
	UNENDED, /* unix: for the object's end */
	CONNECT,
	SEND,
	FINISH, /* all is sent: for the peer's word */
};

struct stream {
	struct push_way way;
	struct push *push;
	const struct push_target *target;
	struct watch peer; /* fd -1: not connected */
	enum state state;
	unsigned address; /* of the target's, the next one */

	int64_t end;	     /* of what is on its way */
	bool chunked, ended; /* ended: the last byte is out, and what follows it */
	bool reused;	     /* the connection has carried another object before */
	bool closed;	     /* by the peer, cleanly */
	int64_t queued;	     /* not acknowledged, when it was looked at */
	struct rate rate;    /* of what has been sent, at the limits that were */
	unsigned limits_seen;
	struct timer pace; /* set while the rate allows nothing */

	size_t in_size, scanned, out_at, out_size;
	char in[HTTP_HEAD_MAX + 1];
	char out[PUSH_HEAD_MAX];
};

/* ---- the connection ---- */

static void hang_up(struct stream *s)
{
	if (s->peer.fd < 0)
		return;
	loop_remove(&s->push->loop, &s->peer);
	close(s->peer.fd);
	s->peer.fd = -1;
	s->in_size = s->scanned = 0;
}

static void set_reset(int fd, bool on)
{
	const struct linger hard = {.l_onoff = on, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

static void set_options(struct stream *s, int fd)
{
	const struct push_options *o = s->push->options;
	const int on = 1;

	if (s->target->scheme == PUSH_UNIX)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	listen_congestion(fd, o->congestion, NULL);
	if (s->target->scheme == PUSH_TCP)
		set_reset(fd, true);
}

static int dial(struct stream *s)
{
	const struct push_target *t = s->target;
	const union push_address *a = &t->address[s->address++ % t->addresses];
	const socklen_t size = a->any.sa_family == AF_INET    ? sizeof(a->in4)
			       : a->any.sa_family == AF_INET6 ? sizeof(a->in6)
							      : sizeof(a->un);
	cleanup_fd int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	set_options(s, fd);
	if (connect(fd, &a->any, size) < 0 && errno != EINPROGRESS)
		return -errno;
	s->peer.fd = STEAL_FD(fd);
	s->reused = s->closed = false;
	s->in_size = s->scanned = 0;
	return loop_add(&s->push->loop, &s->peer, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static int64_t unacknowledged(const struct stream *s)
{
	int queued = 0;

	return ioctl(s->peer.fd, SIOCOUTQ, &queued) < 0 ? INT64_MAX : queued;
}

/* ---- sending ---- */

/* A peer may close a connection that was kept in the moment it is used again. */
static bool was_stale(struct stream *s)
{
	if (!s->reused || s->in_size > 0)
		return false;
	push_redo(s->push);
	return true;
}

static void put(struct stream *s, const char *text)
{
	struct text t = {s->out, s->out_size, sizeof(s->out), false};

	text_put(&t, text);
	s->out_size = t.size;
}

static void put_head(struct stream *s)
{
	const struct push_target *t = s->target;
	const struct push_put request = {
		.authority = t->authority,
		.prefix = t->path,
		.path = s->push->object->path,
		.type = s->push->object->type,
		.size = s->chunked ? -1 : s->end,
	};
	struct text text = {s->out, 0, sizeof(s->out), false};

	push_put_format(&request, &text);
	s->out_size = text.size;
}

static void begin_sending(struct stream *s)
{
	struct object *o = s->push->object;
	const bool http = s->target->scheme == PUSH_HTTP;

	s->state = SEND;
	s->chunked = http && o->live;
	s->end = o->live ? 0 : o->st.st_size;
	s->push->at = 0;
	s->ended = s->closed = false;
	s->queued = INT64_MAX;
	s->in_size = s->scanned = s->out_at = s->out_size = 0;
	if (http)
		put_head(s);
	push_deadline(s->push, STALL_NS);
}

/* What comes when all before is out: true if that is anything. */
static bool next_piece(struct stream *s)
{
	const struct object *o = s->push->object;
	char head[24];

	if (s->ended || s->end == o->st.st_size) {
		if (s->ended || o->live)
			return false;
		s->ended = true;
		if (s->chunked)
			put(s, s->end > 0 ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
		return true;
	}
	snprintf(head, sizeof(head), "%s%llx\r\n", s->end > 0 ? "\r\n" : "",
		 (unsigned long long)(o->st.st_size - s->end));
	if (s->chunked)
		put(s, head);
	s->end = o->st.st_size;
	return true;
}

static void go_on(struct timer *t)
{
	push_proceed(container_of(t, struct stream, pace)->push);
}

/* How many bytes the rate allows now; 0: none before the timer fires. */
static int64_t allowed(struct stream *s)
{
	struct push *p = s->push;
	const uint64_t bps = limits_only(&p->limits, 0);
	const int64_t now = p->loop.now_ns;
	int64_t quantum;

	if (s->limits_seen != p->limits.changes)
		s->rate.due_ns = 0;
	s->limits_seen = p->limits.changes;
	if (bps == 0)
		return PIECE_MAX;
	if (s->rate.due_ns > now) {
		push_no_deadline(p); /* the peer has nothing to take */
		loop_timer_set(&p->loop, &s->pace,
			       s->rate.due_ns < now + CHANGE_NS ? s->rate.due_ns : now + CHANGE_NS);
		return 0;
	}
	quantum = (int64_t)(bps / (NS_PER_S / QUANTUM_NS));
	return quantum < QUANTUM_MIN ? QUANTUM_MIN : quantum < PIECE_MAX ? quantum : PIECE_MAX;
}

static void count(struct stream *s, int64_t n)
{
	struct push *p = s->push;
	const uint64_t bps = limits_only(&p->limits, 0);

	p->site->sent += (uint64_t)n;
	if (bps > 0)
		rate_book(&s->rate, bps, n, p->loop.now_ns, SLACK_NS);
}

static ssize_t send_some(struct stream *s, size_t most)
{
	const int fd = s->peer.fd;
	const size_t left = (size_t)(s->end - s->push->at);
	off_t at = s->push->at;
	ssize_t n;

	if (s->out_at < s->out_size) {
		n = send(fd, s->out + s->out_at, s->out_size - s->out_at,
			 MSG_NOSIGNAL | (left > 0 ? MSG_MORE : 0));
		s->out_at += n > 0 ? (size_t)n : 0;
		if (s->out_at == s->out_size)
			s->out_at = s->out_size = 0;
		return n;
	}
	n = sendfile(fd, s->push->object->fd, &at, left < most ? left : most);
	s->push->at = at;
	return n;
}

static void finish(struct stream *s)
{
	s->state = FINISH;
	s->queued = INT64_MAX;
	push_deadline(s->push, STALL_NS);
	if (s->target->scheme == PUSH_HTTP)
		return;
	set_reset(s->peer.fd, false);
	shutdown(s->peer.fd, SHUT_WR);
}

static void send_all(struct stream *s)
{
	const struct object *o = s->push->object;
	int64_t share;
	ssize_t n;

	for (int64_t sent = 0; sent < TURN_BYTES; sent += n) {
		n = 0;
		if (o->broken) {
			push_fail(s->push, "its writer has given up, or was killed", true);
			return;
		}
		if (s->out_at == s->out_size && s->push->at == s->end && !next_piece(s)) {
			if (!s->ended)
				push_no_deadline(s->push); /* the writer's time */
			else if (push_written_since(s->push))
				push_fail(s->push, "it was written to while it was sent", true);
			else
				finish(s);
			return;
		}
		if (s->out_at == s->out_size && s->push->at == s->end)
			continue;
		share = allowed(s);
		if (share == 0)
			return;
		n = send_some(s, (size_t)share);
		if (n == 0) {
			push_fail(s->push, "it was truncated while it was sent", true);
			return;
		}
		if (n < 0 && errno == EAGAIN && s->push->timer.slot)
			return;
		if (n < 0 && errno != EAGAIN) {
			if (!was_stale(s))
				push_fail(s->push, strerror(errno), false);
			return;
		}
		push_deadline(s->push, STALL_NS);
		if (n < 0)
			return;
		count(s, n);
	}
	push_stir(s->push);
}

/* ---- the peer's word ---- */

static void take_reply(struct stream *s, size_t head)
{
	struct push_reply r;
	char why[64];

	if (push_reply_parse(s->in, head, &r)) {
		push_fail(s->push, "not an HTTP reply", true);
		return;
	}
	if (r.status < 200) { /* an interim one */
		memmove(s->in, s->in + head, s->in_size - head);
		s->in_size -= head;
		s->scanned = 0;
		return;
	}
	if (r.status >= 300) {
		snprintf(why, sizeof(why), "refused with status %d", r.status);
		push_fail(s->push, why, true);
		return;
	}
	if (s->state != FINISH) {
		push_fail(s->push, "answered before it had all", true);
		return;
	}
	/* What is not here at once is not waited for. */
	if (r.status == 204)
		r.length = 0;
	if (r.close || s->closed || r.length < 0 || s->in_size != head + (size_t)r.length)
		hang_up(s);
	s->reused = true;
	s->in_size = s->scanned = 0;
	push_succeed(s->push);
}

static void take_replies(struct stream *s)
{
	while (s->push->object && s->in_size > 0) {
		const size_t head = http_head_size(s->in, s->in_size, &s->scanned);

		if (!head)
			break;
		take_reply(s, head);
	}
	if (s->push->object && s->in_size == HTTP_HEAD_MAX)
		push_fail(s->push, "not an HTTP reply", true);
}

static void have_delivered(struct stream *s)
{
	hang_up(s);
	push_succeed(s->push);
}

/* All of it has arrived, and the peer has closed because of our FIN. */
static void take_close(struct stream *s)
{
	const int64_t queued = unacknowledged(s);

	if (s->state != FINISH)
		push_fail(s->push, "the peer closed before it had all", false);
	else if (s->target->scheme == PUSH_HTTP)
		push_fail(s->push, "the peer closed without a reply", false);
	else if (queued > 1) /* a FIN counts as one */
		push_deadline(s->push, ACK_POLL_NS);
	else
		have_delivered(s);
}

static void read_all(struct stream *s)
{
	const bool http = s->target->scheme == PUSH_HTTP;
	ssize_t n = 1;

	while (s->push->object && s->peer.fd >= 0 && !s->closed) {
		/* Of another peer nothing is expected, and what it says is not listened to. */
		n = recv(s->peer.fd, s->in + (http ? s->in_size : 0),
			 HTTP_HEAD_MAX - (http ? s->in_size : 0), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			if (!was_stale(s))
				push_fail(s->push, strerror(errno), false);
			return;
		}
		s->closed = n == 0;
		if (http && n > 0) {
			s->in_size += (size_t)n;
			take_replies(s);
		}
	}
	if (s->push->object && s->closed && !was_stale(s))
		take_close(s);
}

/* ---- the whole way ---- */

static void begin(struct push_way *way)
{
	struct stream *s = container_of(way, struct stream, way);
	int err;

	if (s->target->scheme == PUSH_UNIX && s->push->object->live) {
		s->state = UNENDED;
		push_no_deadline(s->push);
		return;
	}
	if (s->peer.fd >= 0) {
		begin_sending(s);
		return;
	}
	err = dial(s);
	if (err) {
		push_fail(s->push, strerror(-err), false);
		return;
	}
	s->state = CONNECT;
	push_deadline(s->push, CONNECT_NS);
}

static void check_unended(struct stream *s)
{
	if (s->push->object->broken)
		push_fail(s->push, "its writer has given up, or was killed", true);
	else if (!s->push->object->live)
		begin(&s->way);
}

static void check_connected(struct stream *s)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(int), peer_size = sizeof(peer);
	int err = 0;

	getsockopt(s->peer.fd, SOL_SOCKET, SO_ERROR, &err, &size);
	if (err)
		push_fail(s->push, strerror(err), false);
	else if (getpeername(s->peer.fd, (struct sockaddr *)&peer, &peer_size) == 0)
		begin_sending(s);
}

/* Each step may be the last one for this object. */
static void proceed(struct push_way *way)
{
	struct stream *s = container_of(way, struct stream, way);
	const struct push *p = s->push;

	if (s->state == UNENDED)
		check_unended(s);
	if (p->object && s->state == CONNECT)
		check_connected(s);
	if (p->object && (s->state == SEND || s->state == FINISH))
		read_all(s);
	if (p->object && s->state == SEND)
		send_all(s);
	if (p->object && s->state == FINISH)
		read_all(s);
}

static void peer_ready(struct watch *w, uint32_t events)
{
	struct stream *s = container_of(w, struct stream, peer);

	if (!s->push->object && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		hang_up(s); /* the one that was kept */
	else
		push_proceed(s->push);
}

/* In the states that wait for the peer: it has taken too long, unless its TCP has taken some. */
static void expired(struct push_way *way)
{
	struct stream *s = container_of(way, struct stream, way);
	const bool waits = s->state == SEND || s->state == FINISH;
	const int64_t queued = waits ? unacknowledged(s) : 0;

	if (s->closed) {
		take_close(s);
		return;
	}
	if (waits && queued < s->queued && s->target->scheme != PUSH_UNIX) {
		s->queued = queued;
		push_deadline(s->push, STALL_NS);
		return;
	}
	s->push->site->stalls += waits;
	push_fail(s->push, strerror(ETIMEDOUT), false);
}

static void leave_peer(struct push_way *way)
{
	hang_up(container_of(way, struct stream, way));
}

static void close_way(struct push_way *way)
{
	struct stream *s = container_of(way, struct stream, way);

	loop_timer_clear(&s->push->loop, &s->pace);
	hang_up(s);
	free(s);
}

/* Whether connections can be as the options say: told before the first one is made. */
static int check_congestion(const struct push_options *o, struct mn_error *e)
{
	cleanup_fd int fd = -1;

	if (!o->congestion)
		return 0;
	fd = socket(o->target.address[0].any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return mn_fail_errno(e, errno, "socket");
	return listen_congestion(fd, o->congestion, e);
}

int push_stream_open(struct push *push, struct mn_error *e)
{
	const int err = check_congestion(push->options, e);
	struct stream *s = err ? NULL : calloc(1, sizeof(*s));

	if (err)
		return err;
	if (!s)
		return mn_fail_errno(e, ENOMEM, "push");
	*s = (struct stream){
		.way = {begin, proceed, expired, leave_peer, close_way},
		.push = push,
		.target = &push->options->target,
		.peer = {-1, peer_ready},
		.pace.fire = go_on,
	};
	push->way = &s->way;
	return 0;
}
