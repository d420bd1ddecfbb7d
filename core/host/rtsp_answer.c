#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/rtsp_conn.h"

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
	char text[RTSP_ANSWER_MAX];
	va_list args;
	int n = snprintf(text, sizeof(text),
			 "RTSP/1.0 %d %s\r\nCSeq: %u\r\nServer: memnet/" MEMNET_VERSION "\r\n",
			 status, reason(status), r->cseq);

	va_start(args, fields);
	n += vsnprintf(text + n, sizeof(text) - (size_t)n, fields, args);
	va_end(args);
	if (n >= (int)sizeof(text) || !rtsp_conn_put(c, text, (size_t)n, RTSP_OUT_MAX))
		c->lost = true;
}

void rtsp_refuse(struct rtsp_conn *c, const struct rtsp_request *r, int status)
{
	if (status == 551)
		answer(c, r, status, "Unsupported: %.*s\r\n\r\n", (int)r->require.size,
		       r->require.at);
	else
		answer(c, r, status, "\r\n");
}

/* Of an object whose first bytes these are: 0, or the status to refuse it with. */
static int check_stream(const struct object *o, const uint8_t *head, ssize_t size)
{
	if (o->given > 0)
		return 410;
	if (size >= 0 && ts_probe(head, (size_t)size))
		return 0;
	/* A live one may have its first packet in a moment. */
	return o->live && size >= 0 && size < TS_PACKET ? 503 : 415;
}

static int get_object(struct rtsp_conn *c, const struct rtsp_request *r, struct object **out)
{
	struct worker *w = c->server->worker;
	const char *path = "";
	struct site *site = r->path[0] ? sites_find(&w->sites, r->path, &path) : NULL;
	uint8_t head[TS_PACKET + 1];
	struct object *o = NULL;
	ssize_t size;
	int err;

	if (!site)
		return 404;
	site->requests++;
	err = store_get(&w->store, site, path, w->loop.now_ns, &o);
	if (err)
		return err == -EMFILE || err == -ENOMEM ? 503 : 404;
	size = pread(o->fd, head, sizeof(head), 0);
	err = check_stream(o, head, size);
	if (err) {
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
		rtsp_refuse(c, r, status);
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

static int begin_session(struct rtsp_conn *c, const struct rtsp_request *r)
{
	struct object *o = NULL;
	const int status = get_object(c, r, &o);
	int err;

	if (status)
		return status;
	c->transport = r->transport;
	err = rtsp_flow_enter(c, o);
	if (err)
		return err == -ENOENT ? 404 : err == -ENODATA ? 410 : 503;
	while (c->session == 0) {
		if (getrandom(&c->session, sizeof(c->session), 0) < 0)
			return 503;
	}
	return 0;
}

static void format_group(const struct rtsp_conn *c, char *text, size_t size)
{
	const union multicast_address *a = &c->flow->group;
	const int ttl = c->server->worker->server->options.multicast.ttl;
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(a->any.sa_family,
		  a->any.sa_family == AF_INET6 ? (const void *)&a->in6.sin6_addr
					       : (const void *)&a->in4.sin_addr,
		  address, sizeof(address));
	snprintf(text, size, "multicast;destination=%s;port=%u-%u;ttl=%d", address,
		 ntohs(a->in4.sin_port), ntohs(a->in4.sin_port) + 1U, ttl > 0 ? ttl : 1);
}

static void format_transport(const struct rtsp_conn *c, char *text, size_t size)
{
	const struct rtsp_transport *t = &c->transport;

	if (t->multicast)
		format_group(c, text, size);
	else if (t->tcp)
		snprintf(text, size, "unicast;interleaved=%u-%u", t->channel, t->channel + 1U);
	else
		snprintf(text, size, "unicast;client_port=%u-%u;server_port=%u-%u", t->port,
			 t->port + 1U, c->server->port, c->server->port + 1U);
}

static void set_up(struct rtsp_conn *c, const struct rtsp_request *r)
{
	char transport[128];
	int status;

	if (!r->transport_given || c->session) {
		rtsp_refuse(c, r, c->session ? 455 : 461);
		return;
	}
	status = begin_session(c, r);
	if (status) {
		rtsp_conn_leave(c);
		rtsp_refuse(c, r, status);
		return;
	}
	format_transport(c, transport, sizeof(transport));
	answer(c, r, 200, "Transport: RTP/AVP%s;%s;ssrc=%08X\r\nSession: %u;timeout=60\r\n\r\n",
	       c->transport.tcp ? "/TCP" : "", transport, c->flow->player.rtp.ssrc, c->session);
}

/* Where a range begins. 0, or the status to refuse it with. */
static int go_to(struct player *p, const struct rtsp_request *r, int64_t *from_ns)
{
	const struct object *o = p->object;
	const int64_t size = o->st.st_size;
	struct ts_pcr first, last;
	int64_t at = p->rtp.at;
	const bool known = ts_span(o->fd, 0, size, &first, &last);

	*from_ns = 0;
	if (r->now && o->live) {
		at = size / TS_PACKET * TS_PACKET;
	} else if (r->from_ms > 0) {
		*from_ns = r->from_ms * NS_PER_MS;
		if (!known || *from_ns > ts_since_ns(&first, &last))
			return 457;
		at = ts_seek(o->fd, &first, size, *from_ns);
	} else if (r->from_ms == 0) {
		at = 0;
	}
	rtp_start(&p->rtp, at, p->loop->now_ns);
	/* The end that DESCRIBE told is the last clock's, and some packets follow that. */
	if (known && !o->live && (r->to_ms + 1) * NS_PER_MS > ts_since_ns(&first, &last)) {
		p->stop_ns = -1;
		return 0;
	}
	p->stop_ns = r->to_ms < 0 ? -1
				  : rtp_media_ns(&p->rtp, p->loop->now_ns) + r->to_ms * NS_PER_MS -
					    *from_ns;
	return 0;
}

static void play(struct rtsp_conn *c, const struct rtsp_request *r)
{
	struct player *p = &c->flow->player;
	const int64_t now = p->loop->now_ns;
	char range[64] = "";
	int64_t from_ns;
	int status;

	if (player_plays(p) && (!r->range_given || c->transport.multicast)) {
		c->plays = true;
		answer(c, r, 200, "Session: %u;timeout=60\r\n\r\n", c->session);
		return;
	}
	if (p->object->live)
		object_look(p->object, now);
	status = go_to(p, r, &from_ns);
	if (status) {
		rtsp_refuse(c, r, status);
		return;
	}
	if (r->range_given && !r->now)
		snprintf(range, sizeof(range), "Range: npt=%.3f-\r\n", (double)from_ns / NS_PER_S);
	answer(c, r, 200,
	       "%sSession: %u;timeout=60\r\n"
	       "RTP-Info: url=%.*s/" RTSP_TRACK ";seq=%u;rtptime=%u\r\n\r\n",
	       range, c->session, (int)r->url.size, r->url.at, p->rtp.sequence,
	       rtp_stamp(&p->rtp, now));
	player_play(p);
	c->plays = true;
	c->lost |= p->state == PLAYER_BROKEN;
}

static void pause_play(struct rtsp_conn *c, const struct rtsp_request *r)
{
	rtsp_flow_pause(c);
	answer(c, r, 200, "Session: %u;timeout=60\r\n\r\n", c->session);
}

void rtsp_answer(struct rtsp_conn *c, const struct rtsp_request *r)
{
	const bool mine = c->session && (!r->session_given || r->session == c->session);
	const bool needed =
		r->method == RTSP_PLAY || r->method == RTSP_PAUSE || r->method == RTSP_TEARDOWN;

	if ((needed || r->session_given) && !mine) {
		rtsp_refuse(c, r, 454);
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
	case RTSP_PAUSE: pause_play(c, r); break;
	case RTSP_TEARDOWN:
		rtsp_conn_leave(c);
		rtsp_refuse(c, r, 200);
		break;
	case RTSP_GET_PARAMETER: rtsp_refuse(c, r, 200); break;
	case RTSP_OTHER: rtsp_refuse(c, r, 501); break;
	}
}
