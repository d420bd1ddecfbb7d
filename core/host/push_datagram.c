#include "host/push_datagram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "host/datagram.h"
#include "host/player.h"

/* For how long an ICMP message that nobody is there is waited for behind the last datagram. */
#define REFUSAL_NS (20 * NS_PER_MS)

struct datagrams {
	struct push_way way;
	struct push *push;
	int fd, companionfd; /* companionfd: RTCP's; -1: it is not RTP */
	struct player player;
	bool begun;  /* something has been played */
	bool joined; /* what comes now goes on behind the last object */
};

/* ---- datagrams ---- */

static int send_packets(struct player *p, const struct iovec packet[], size_t n, bool companion)
{
	const struct datagrams *d = container_of(p, struct datagrams, player);
	const size_t head = d->companionfd < 0 ? RTP_HEAD : 0;
	struct iovec datagram[PLAYER_GROUP];
	int sent;

	/* Who does not listen to reports has the stream nevertheless. */
	if (companion)
		return d->companionfd < 0 || datagram_send(d->companionfd, NULL, 0, packet, n) != 0;
	for (size_t i = 0; i < n; i++) {
		datagram[i].iov_base = (uint8_t *)packet[i].iov_base + head;
		datagram[i].iov_len = packet[i].iov_len - head;
	}
	sent = datagram_send(d->fd, NULL, 0, datagram, n);
	for (int i = 0; i < sent; i++)
		d->push->site->sent += datagram[i].iov_len;
	return sent;
}

/* What was told of the datagrams by now: 0 or -errno. */
static int refusal(const struct datagrams *d)
{
	socklen_t size = sizeof(int);
	int err = 0;

	getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &err, &size);
	return -err;
}

/* ---- an object's way ---- */

static const char *reason(int err)
{
	return err == -EINVAL ? "not an MPEG transport stream: it cannot be sent as datagrams"
			      : "a transport stream without a clock (PCR): it cannot be paced";
}

static int start(struct datagrams *d)
{
	struct player *p = &d->player;
	struct object *o = d->push->object;
	const int err = d->begun ? 0 : player_init(p, &d->push->loop, o);

	if (err)
		return err;
	p->object = o;
	rtp_join(&p->rtp, o->fd);
	if (!d->joined)
		rtp_start(&p->rtp, 0, d->push->loop.now_ns);
	d->begun = d->joined = true;
	player_play(p);
	return p->state == PLAYER_BROKEN ? p->error : 0;
}

/* A live object's beginning may not be there yet. */
static void begin(struct push_way *way)
{
	struct datagrams *d = container_of(way, struct datagrams, way);
	struct push *p = d->push;
	int err;

	push_no_deadline(p);
	if (p->object->broken) {
		push_fail(p, "its writer has given up, or was killed", true);
		return;
	}
	err = ts_begins(p->object->fd, p->object->st.st_size, p->object->live);
	if (err < 0)
		push_refuse(p, reason(err));
	else if (err > 0 && (err = start(d)) < 0)
		push_fail(p, strerror(-err), true);
}

static void proceed(struct push_way *way)
{
	struct datagrams *d = container_of(way, struct datagrams, way);

	if (d->player.state == PLAYER_RESTS && !d->push->timer.slot)
		begin(way);
}

static void turned(struct player *p)
{
	struct datagrams *d = container_of(p, struct datagrams, player);

	d->push->at = p->rtp.at;
	if (p->state == PLAYER_RESTS)
		push_deadline(d->push, REFUSAL_NS);
	if (p->state != PLAYER_BROKEN)
		return;
	if (p->object->broken)
		push_fail(d->push, "its writer has given up, or was killed", true);
	else if (p->error == -EIO)
		push_fail(d->push, "it was truncated while it was sent", true);
	else
		push_fail(d->push, strerror(-p->error), false);
}

/* All has been sent, and nobody has said that he is not there. */
static void expired(struct push_way *way)
{
	struct datagrams *d = container_of(way, struct datagrams, way);
	const int err = refusal(d);

	if (err)
		push_fail(d->push, strerror(-err), false);
	else if (push_written_since(d->push))
		push_fail(d->push, "it was written to while it was sent", true);
	else
		push_succeed(d->push);
}

static void leave_peer(struct push_way *way)
{
	struct datagrams *d = container_of(way, struct datagrams, way);

	if (d->begun)
		player_rest(&d->player);
	d->joined = false;
	refusal(d); /* told for this object, not for the next one */
}

/* ---- life ---- */

static void close_way(struct push_way *way)
{
	struct datagrams *d = container_of(way, struct datagrams, way);

	if (d->begun)
		player_report(&d->player, true);
	player_fini(&d->player);
	if (d->fd >= 0)
		close(d->fd);
	if (d->companionfd >= 0)
		close(d->companionfd);
	free(d);
}

static int open_socket(const struct push_options *o, unsigned next_port, struct mn_error *e)
{
	union push_address to = o->target.address[0];
	const socklen_t size = to.any.sa_family == AF_INET6 ? sizeof(to.in6) : sizeof(to.in4);
	cleanup_fd int fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	/* The port is at the same place in both. */
	to.in4.sin_port = htons((uint16_t)(o->target.port + next_port));
	if (fd < 0)
		return mn_fail_errno(e, errno, "%s", o->url);
	err = multicast_set(fd, &to.any, &o->multicast, e);
	if (err)
		return err;
	if (connect(fd, &to.any, size) < 0)
		return mn_fail_errno(e, errno, "%s", o->url);
	return STEAL_FD(fd);
}

int push_datagram_open(struct push *push, struct mn_error *e)
{
	const struct push_options *o = push->options;
	struct datagrams *d = calloc(1, sizeof(*d));

	if (!d)
		return mn_fail_errno(e, ENOMEM, "push");
	*d = (struct datagrams){
		.way = {begin, proceed, expired, leave_peer, close_way},
		.push = push,
		.companionfd = -1,
		.player = {.send = send_packets, .turned = turned, .bye_ns = -1},
	};
	push->way = &d->way;
	d->fd = open_socket(o, 0, e);
	if (d->fd < 0 || o->target.scheme != PUSH_RTP)
		return d->fd < 0 ? d->fd : 0;
	d->companionfd = open_socket(o, 1, e);
	return d->companionfd < 0 ? d->companionfd : 0;
}
