#include "host/rtsp_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "host/rtsp_conn.h"

#define BYE_NS (500 * NS_PER_MS) /* over UDP it could overtake the last packets */

/* ---- packets ---- */

static void count(struct rtsp_flow *f, size_t size)
{
	f->server->worker->counters.sent += size;
	f->player.object->site->sent += size;
}

static bool put_framed(struct rtsp_conn *c, const uint8_t *packet, size_t size, bool companion)
{
	uint8_t framed[4 + RTP_MAX];

	framed[0] = '$';
	framed[1] = (uint8_t)(c->transport.channel + companion);
	framed[2] = (uint8_t)(size >> 8);
	framed[3] = (uint8_t)size;
	memcpy(framed + 4, packet, size);
	return rtsp_conn_put(c, framed, size + 4);
}

/* False: not now; what is lost is lost. */
static bool send_datagram(const struct rtsp_flow *f, const uint8_t *packet, size_t size,
			  bool companion)
{
	struct sockaddr_storage to = f->conn->peer;
	const in_port_t port = htons((uint16_t)(f->conn->transport.port + companion));

	if (to.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&to)->sin6_port = port;
	else
		((struct sockaddr_in *)&to)->sin_port = port;
	return sendto(companion ? f->server->rtcpfd : f->server->rtpfd, packet, size, MSG_NOSIGNAL,
		      (struct sockaddr *)&to,
		      to.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					       : sizeof(struct sockaddr_in)) >= 0 ||
	       (errno != EAGAIN && errno != ENOBUFS);
}

static int send_packet(struct player *p, const uint8_t *packet, size_t size, bool companion)
{
	struct rtsp_flow *f = container_of(p, struct rtsp_flow, player);
	const bool sent = f->conn->transport.tcp ? put_framed(f->conn, packet, size, companion)
						 : send_datagram(f, packet, size, companion);

	if (sent)
		count(f, size);
	return sent;
}

/* ---- life ---- */

static void turned(struct player *p)
{
	struct rtsp_conn *c = container_of(p, struct rtsp_flow, player)->conn;

	if (p->state == PLAYER_RESTS)
		rtsp_conn_rest(c);
	c->lost |= p->state == PLAYER_BROKEN;
	rtsp_conn_settle(c);
}

static int join(struct rtsp_flow *f)
{
	struct server *s = f->server->worker->server;
	static const struct peer nobody = {{0}};
	const struct object *o = f->player.object;

	if (s->options.release == RELEASE_NEVER)
		return 0;
	return release_join(&s->release, &f->reader, o->fd, o->live, 0, &nobody);
}

struct rtsp_flow *rtsp_flow_open(struct rtsp_conn *conn, struct object *object)
{
	struct rtsp_flow *f = calloc(1, sizeof(*f));
	struct worker *w = conn->server->worker;

	if (!f) {
		object_put(object, w->loop.now_ns);
		return NULL;
	}
	f->server = conn->server;
	f->conn = conn;
	f->player.send = send_packet;
	f->player.turned = turned;
	f->player.bye_ns = conn->transport.tcp ? 0 : BYE_NS;
	if (player_init(&f->player, &w->loop, object) || join(f)) {
		rtsp_flow_close(f);
		return NULL;
	}
	return f;
}

/* It may be the last reader of what another client has been delivered meanwhile. */
static void leave_readers(struct rtsp_flow *f, struct object *o)
{
	static const struct timespec read_now[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
	struct worker *w = f->server->worker;
	const bool delivered = w->server->options.release == RELEASE_DELIVERED;
	const struct release_name name = {
		.rootfd = site_root(o->site, w->loop.now_ns),
		.fd = o->fd,
		.path = o->path,
		.size = o->live || o->broken || !delivered ? -1 : o->st.st_size,
	};

	if (!delivered)
		futimens(o->fd, read_now);
	if (release_leave(&w->server->release, &f->reader, &name))
		object_forget(o);
}

void rtsp_flow_close(struct rtsp_flow *f)
{
	struct object *o = f->player.object;

	player_fini(&f->player);
	if (f->reader.holding)
		leave_readers(f, o);
	object_put(o, f->server->worker->loop.now_ns);
	free(f);
}
