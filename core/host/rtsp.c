#include "host/rtsp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "host/rtp.h"
#include "host/rtsp_request.h"
#include "host/worker.h"

#define IDLE_NS	   (75 * NS_PER_S) /* without a request, while nothing is played */
#define REPORT_NS  (5 * NS_PER_S)
#define GROUP_NS   (5 * NS_PER_MS) /* what is due within it is sent together */
#define GROW_NS	   (20 * NS_PER_MS)
#define BYE_NS	   (500 * NS_PER_MS) /* over UDP it could overtake the last packets */
#define TURN	   256
#define READS_MAX  64 /* at once: no client has that much to say */
#define PORT_TRIES 64

#define RTSP_OUT_MAX 65536

struct rtsp_conn {
	struct watch watch;
	struct timer timer; /* playing: the next packet; else the idle limit */
	struct rtsp *server;
	struct list all;
	struct sockaddr_storage peer;
	size_t in_size, scanned, skip; /* skip: so much of what comes is of no interest */
	char in[RTSP_HEAD_MAX];
	char *out; /* RTSP_OUT_MAX + some, once needed */
	size_t out_at, out_size;

	uint32_t session; /* 0: none */
	struct rtsp_transport transport;
	struct object *object;
	struct reader reader;
	struct rtp rtp;
	bool playing, over; /* over: all is sent, and BYE is due */
	bool lost;	    /* to be closed */
	int64_t stop_ns;    /* of the stamps' time; -1: at the end */
	int64_t report_ns;
};

/* ---- the session ---- */

/* It may be the last reader of what another client has been delivered meanwhile. */
static void leave_readers(struct rtsp_conn *c, struct object *o)
{
	static const struct timespec read_now[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
	struct worker *w = c->server->worker;
	const bool delivered = w->server->options.release == RELEASE_DELIVERED;
	const struct release_name name = {
		.rootfd = site_root(o->site, w->loop.now_ns),
		.fd = o->fd,
		.path = o->path,
		.size = o->live || o->broken || !delivered ? -1 : o->st.st_size,
	};

	if (!delivered)
		futimens(o->fd, read_now);
	if (release_leave(&w->server->release, &c->reader, &name))
		object_forget(o);
}

static void leave_session(struct rtsp_conn *c)
{
	struct worker *w = c->server->worker;
	struct object *o = c->object;

	c->playing = c->over = false;
	c->session = 0;
	c->object = NULL;
	rtp_fini(&c->rtp);
	if (!o)
		return;
	if (c->reader.holding)
		leave_readers(c, o);
	object_put(o, w->loop.now_ns);
}

static void conn_end(struct rtsp_conn *c)
{
	struct worker *w = c->server->worker;

	leave_session(c);
	loop_remove(&w->loop, &c->watch);
	loop_timer_clear(&w->loop, &c->timer);
	list_remove(&c->all);
	c->server->count--;
	close(c->watch.fd);
	free(c->out);
	free(c);
}

static void set_timer(struct rtsp_conn *c, int64_t at_ns)
{
	if (loop_timer_set(&c->server->worker->loop, &c->timer, at_ns))
		c->lost = true;
}

static void rest(struct rtsp_conn *c)
{
	c->playing = c->over = false;
	set_timer(c, c->server->worker->loop.now_ns + IDLE_NS);
}

/* ---- output by TCP ---- */

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

/* All of it or nothing; false: there is no room now. */
static bool put(struct rtsp_conn *c, const void *data, size_t size)
{
	if (!c->out)
		c->out = malloc(RTSP_OUT_MAX);
	if (!c->out) {
		c->lost = true;
		return false;
	}
	if (c->out_at > 0 && c->out_size + size > RTSP_OUT_MAX) {
		memmove(c->out, c->out + c->out_at, c->out_size - c->out_at);
		c->out_size -= c->out_at;
		c->out_at = 0;
	}
	if (c->out_size + size > RTSP_OUT_MAX)
		return false;
	memcpy(c->out + c->out_size, data, size);
	c->out_size += size;
	return true;
}

/* ---- packets ---- */

static void count(struct rtsp_conn *c, size_t size)
{
	c->server->worker->counters.sent += size;
	c->object->site->sent += size;
}

/* Of RTP, or of its companion. False: not now. */
static bool send_packet(struct rtsp_conn *c, const uint8_t *packet, size_t size, bool companion)
{
	struct sockaddr_storage to = c->peer;
	const in_port_t port = htons((uint16_t)(c->transport.port + companion));
	uint8_t framed[4 + RTP_MAX];

	if (c->transport.tcp) {
		framed[0] = '$';
		framed[1] = (uint8_t)(c->transport.channel + companion);
		framed[2] = (uint8_t)(size >> 8);
		framed[3] = (uint8_t)size;
		memcpy(framed + 4, packet, size);
		if (!put(c, framed, size + 4))
			return false;
		count(c, size);
		return true;
	}
	if (to.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&to)->sin6_port = port;
	else
		((struct sockaddr_in *)&to)->sin_port = port;
	if (sendto(companion ? c->server->rtcpfd : c->server->rtpfd, packet, size, MSG_NOSIGNAL,
		   (struct sockaddr *)&to,
		   to.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					    : sizeof(struct sockaddr_in)) < 0)
		return errno != EAGAIN && errno != ENOBUFS; /* what is lost is lost */
	count(c, size);
	return true;
}

static bool report(struct rtsp_conn *c, bool bye)
{
	const int64_t now = c->server->worker->loop.now_ns;
	uint8_t packet[RTCP_MAX];

	c->report_ns = now + REPORT_NS;
	return send_packet(c, packet, rtcp_format(&c->rtp, now, bye, packet), true);
}

static void end(struct rtsp_conn *c)
{
	const int64_t now = c->server->worker->loop.now_ns;

	c->over = true;
	set_timer(c, c->transport.tcp ? now : now + BYE_NS);
}

static void dry(struct rtsp_conn *c)
{
	if (c->object->live)
		set_timer(c, c->server->worker->loop.now_ns + GROW_NS);
	else
		end(c);
}

static void say_bye(struct rtsp_conn *c)
{
	if (report(c, true))
		rest(c);
	else
		set_timer(c, c->server->worker->loop.now_ns + GROUP_NS);
}

/* Sends what is due, and sees to it that it is called again. */
static void play_on(struct rtsp_conn *c)
{
	const int64_t now = c->server->worker->loop.now_ns;
	struct object *o = c->object;
	uint8_t packet[RTP_MAX];

	if (now >= c->report_ns)
		report(c, false);
	for (int i = 0; i < TURN; i++) {
		int64_t due_ns = now;
		const int payload = rtp_next(&c->rtp, o->st.st_size, o->live, now, &due_ns);

		if (payload < 0 || o->broken) {
			c->lost = true;
			return;
		}
		if (payload > 0 && c->stop_ns >= 0 && rtp_media_ns(&c->rtp, due_ns) >= c->stop_ns) {
			end(c);
			return;
		}
		if (payload == 0) {
			dry(c);
			return;
		}
		if (due_ns > now + GROUP_NS) {
			set_timer(c, due_ns);
			return;
		}
		if (!send_packet(c, packet, rtp_format(&c->rtp, payload, due_ns, packet), false))
			break;
		rtp_advance(&c->rtp, payload);
	}
	set_timer(c, now + GROUP_NS);
}

/* ---- answers ---- */

static const char *reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 404: return "Not Found";
	case 410: return "Gone";
	case 414: return "Request-URI Too Large";
	case 415: return "Unsupported Media Type";
	case 454: return "Session Not Found";
	case 455: return "Method Not Valid in This State";
	case 457: return "Invalid Range";
	case 461: return "Unsupported Transport";
	case 501: return "Not Implemented";
	case 505: return "RTSP Version Not Supported";
	case 551: return "Option not supported";
	default: return "Service Unavailable";
	}
}

/* `fields`, each with its CR LF, and what is behind them. */
static void __attribute__((format(printf, 4, 5)))
answer(struct rtsp_conn *c, const struct rtsp_request *r, int status, const char *fields, ...)
{
	char text[4096];
	va_list args;
	int n = snprintf(text, sizeof(text),
			 "RTSP/1.0 %d %s\r\nCSeq: %u\r\nServer: memnet/" MEMNET_VERSION "\r\n",
			 status, reason(status), r->cseq);

	va_start(args, fields);
	n += vsnprintf(text + n, sizeof(text) - (size_t)n, fields, args);
	va_end(args);
	if (n >= (int)sizeof(text) || !put(c, text, (size_t)n))
		c->lost = true;
}

static void refuse(struct rtsp_conn *c, const struct rtsp_request *r, int status)
{
	answer(c, r, status, "\r\n");
}

static int get_object(struct rtsp_conn *c, const struct rtsp_request *r, struct object **out)
{
	struct worker *w = c->server->worker;
	const char *path = "";
	struct site *site = r->path[0] ? sites_find(&w->sites, r->path, &path) : NULL;
	uint8_t head[TS_PACKET + 1];
	struct object *o = NULL;
	ssize_t n;
	int err;

	if (!site)
		return 404;
	if (!w->expire_timer.slot)
		loop_timer_set(&w->loop, &w->expire_timer, w->loop.now_ns + OBJECT_IDLE_NS);
	site->requests++;
	err = store_get(&w->store, site, path, w->loop.now_ns, &o);
	if (err)
		return err == -EMFILE || err == -ENOMEM ? 503 : 404;
	n = pread(o->fd, head, sizeof(head), 0);
	if (o->given > 0 || n < 0 || !ts_probe(head, (size_t)n)) {
		err = o->given > 0 ? 410 : 415;
		object_put(o, w->loop.now_ns);
		return err;
	}
	*out = o;
	return 0;
}

static void describe(struct rtsp_conn *c, const struct rtsp_request *r)
{
	struct worker *w = c->server->worker;
	struct ts_pcr first, last;
	struct object *o = NULL;
	const int status = get_object(c, r, &o);
	char sdp[512], until[32] = "";
	int n;

	if (status) {
		refuse(c, r, status);
		return;
	}
	if (!o->live && ts_span(o->fd, 0, o->st.st_size, &first, &last))
		snprintf(until, sizeof(until), "%.3f",
			 (double)ts_since_ns(&first, &last) / NS_PER_S);
	n = snprintf(sdp, sizeof(sdp),
		     "v=0\r\no=- %llu 1 IN IP4 0.0.0.0\r\ns=memnet\r\nt=0 0\r\na=control:*\r\n"
		     "a=range:npt=0-%s\r\nm=video 0 RTP/AVP 33\r\nc=IN IP4 0.0.0.0\r\n"
		     "a=control:" RTSP_TRACK "\r\n",
		     (unsigned long long)o->st.st_ino, until);
	answer(c, r, 200,
	       "Content-Base: %.*s/\r\nContent-Type: application/sdp\r\nContent-Length: "
	       "%d\r\n\r\n%s",
	       (int)r->url.size, r->url.at, n, sdp);
	object_put(o, w->loop.now_ns);
}

static int join(struct rtsp_conn *c)
{
	struct server *s = c->server->worker->server;
	static const struct peer nobody = {{0}};

	if (s->options.release == RELEASE_NEVER)
		return 0;
	return release_join(&s->release, &c->reader, c->object->fd, c->object->live, 0, &nobody);
}

static int begin_session(struct rtsp_conn *c, const struct rtsp_request *r)
{
	int status = get_object(c, r, &c->object);

	if (status)
		return status;
	if (join(c) || rtp_init(&c->rtp, c->object->fd))
		return 503;
	while (c->session == 0) {
		if (getrandom(&c->session, sizeof(c->session), 0) < 0)
			return 503;
	}
	return 0;
}

static void set_up(struct rtsp_conn *c, const struct rtsp_request *r)
{
	char ports[64];
	int status;

	if (!r->transport_given || c->session) {
		refuse(c, r, c->session ? 455 : 461);
		return;
	}
	status = begin_session(c, r);
	if (status) {
		leave_session(c);
		refuse(c, r, status);
		return;
	}
	c->transport = r->transport;
	if (c->transport.tcp)
		snprintf(ports, sizeof(ports), "interleaved=%u-%u", c->transport.channel,
			 c->transport.channel + 1U);
	else
		snprintf(ports, sizeof(ports), "client_port=%u-%u;server_port=%u-%u",
			 c->transport.port, c->transport.port + 1U, c->server->port,
			 c->server->port + 1U);
	answer(c, r, 200,
	       "Transport: RTP/AVP%s;unicast;%s;ssrc=%08X\r\nSession: %u;timeout=60\r\n\r\n",
	       c->transport.tcp ? "/TCP" : "", ports, c->rtp.ssrc, c->session);
}

/* Where a range begins. 0, or the status to refuse it with. */
static int go_to(struct rtsp_conn *c, const struct rtsp_request *r, int64_t *from_ns)
{
	const int64_t now = c->server->worker->loop.now_ns, size = c->object->st.st_size;
	struct ts_pcr first, last;
	int64_t at = c->rtp.at;
	bool known = ts_span(c->object->fd, 0, size, &first, &last);

	*from_ns = 0;
	if (r->now && c->object->live) {
		at = size / TS_PACKET * TS_PACKET;
	} else if (r->from_ms > 0) {
		*from_ns = r->from_ms * NS_PER_MS;
		if (!known || *from_ns > ts_since_ns(&first, &last))
			return 457;
		at = ts_seek(c->object->fd, &first, size, *from_ns);
	} else if (r->from_ms == 0) {
		at = 0;
	}
	rtp_start(&c->rtp, at, now);
	return 0;
}

static void play(struct rtsp_conn *c, const struct rtsp_request *r)
{
	const int64_t now = c->server->worker->loop.now_ns;
	char range[64] = "";
	int64_t from_ns;
	int status;

	if (c->playing && !r->range_given) {
		answer(c, r, 200, "Session: %u;timeout=60\r\n\r\n", c->session);
		return;
	}
	if (c->object->live)
		object_look(c->object, now);
	status = go_to(c, r, &from_ns);
	if (status) {
		refuse(c, r, status);
		return;
	}
	c->stop_ns =
		r->to_ms < 0 ? -1 : rtp_media_ns(&c->rtp, now) + r->to_ms * NS_PER_MS - from_ns;
	if (r->range_given && !r->now)
		snprintf(range, sizeof(range), "Range: npt=%.3f-\r\n", (double)from_ns / NS_PER_S);
	answer(c, r, 200,
	       "%sSession: %u;timeout=60\r\nRTP-Info: url=%.*s/" RTSP_TRACK
	       ";seq=%u;rtptime=%u\r\n\r\n",
	       range, c->session, (int)r->url.size, r->url.at, c->rtp.sequence,
	       rtp_stamp(&c->rtp, now));
	c->playing = true;
	c->over = false;
	c->report_ns = now;
	set_timer(c, now);
}

static void act(struct rtsp_conn *c, const struct rtsp_request *r)
{
	const bool mine = c->session && (!r->session_given || r->session == c->session);
	const bool needed =
		r->method == RTSP_PLAY || r->method == RTSP_PAUSE || r->method == RTSP_TEARDOWN;

	if ((needed || r->session_given) && !mine) {
		refuse(c, r, 454);
		return;
	}
	switch (r->method) {
	case RTSP_OPTIONS:
		answer(c, r, 200,
		       "Public: OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, "
		       "TEARDOWN\r\n\r\n");
		break;
	case RTSP_DESCRIBE: describe(c, r); break;
	case RTSP_SETUP: set_up(c, r); break;
	case RTSP_PLAY: play(c, r); break;
	case RTSP_PAUSE:
		rest(c);
		answer(c, r, 200, "Session: %u;timeout=60\r\n\r\n", c->session);
		break;
	case RTSP_TEARDOWN:
		leave_session(c);
		rest(c);
		refuse(c, r, 200);
		break;
	case RTSP_GET_PARAMETER: refuse(c, r, 200); break;
	case RTSP_OTHER: refuse(c, r, 501); break;
	}
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
	status = rtsp_request_parse(c->in, head, &r);
	if (status)
		refuse(c, &r, status);
	else
		act(c, &r);
	if (status == 400) {
		flush(c);
		c->lost = true;
		return false;
	}
	if (!c->playing)
		rest(c);
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

static void settle(struct rtsp_conn *c)
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
	settle(c);
}

static void conn_timer(struct timer *t)
{
	struct rtsp_conn *c = container_of(t, struct rtsp_conn, timer);

	if (!c->playing)
		c->lost = true; /* idle for too long */
	else if (c->over)
		say_bye(c);
	else
		play_on(c);
	settle(c);
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
	struct rtsp *s = container_of(watch, struct rtsp, listener);
	struct loop *loop = &s->worker->loop;
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	const int fd =
		accept4(watch->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct rtsp_conn *c = fd >= 0 && s->count < RTSP_CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;

	(void)events;
	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	set_options(fd);
	c->watch = (struct watch){fd, conn_ready};
	c->timer.fire = conn_timer;
	c->server = s;
	c->peer = peer;
	list_init(&c->all);
	list_append(&s->conns, &c->all);
	s->count++;
	rest(c);
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

int rtsp_bind(const struct sockaddr *address, socklen_t size, int fds[2], struct mn_error *e)
{
	int port = -EAGAIN;

	for (int i = 0; i < PORT_TRIES && port == -EAGAIN; i++)
		port = bind_pair(address, size, fds);
	return port < 0 ? mn_fail_errno(e, -port, "RTP ports") : 0;
}

int rtsp_init(struct rtsp *s, struct worker *worker, int listenfd, const int fds[2])
{
	struct sockaddr_in6 a;
	socklen_t size = sizeof(a);

	*s = (struct rtsp){.worker = worker,
			   .listener = {listenfd, accept_ready},
			   .rtpfd = fds[0],
			   .rtcpfd = fds[1]};
	list_init(&s->conns);
	/* Of IPv4 and of IPv6 alike, the port is behind the family. */
	if (getsockname(fds[0], (struct sockaddr *)&a, &size) < 0)
		return -errno;
	s->port = ntohs(a.sin6_port);
	return loop_add(&worker->loop, &s->listener, EPOLLIN);
}

void rtsp_fini(struct rtsp *s)
{
	struct list *l;

	if (!s->worker)
		return;
	loop_remove(&s->worker->loop, &s->listener);
	while ((l = list_first(&s->conns)) != NULL) {
		struct rtsp_conn *c = list_entry(l, struct rtsp_conn, all);

		if (c->playing && report(c, true))
			flush(c);
		conn_end(c);
	}
	s->worker = NULL;
}
