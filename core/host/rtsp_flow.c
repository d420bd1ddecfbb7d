#include "host/rtsp_flow.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "host/datagram.h"
#include "host/rtsp_conn.h"

#define BYE_NS (500 * NS_PER_MS) /* over UDP it could overtake the last packets */

#define NO_GROUP UINT_MAX

/* ---- packets ---- */

static void count(struct rtsp_flow *f, size_t size)
{
	struct worker *w = f->server->worker;
	struct site *site = f->player.object->site;

	w->counters.sent += size;
	site->sent += size;
	limits_charge(&w->server->limits, (size_t)(site - w->sites.site), (int64_t)size,
		      w->loop.now_ns);
}

void rtsp_flow_survey(const struct rtsp_flow *f)
{
	const struct object *o = f->player.object;
	struct survey_now *now = &o->site->survey;
	const int64_t left = o->st.st_size - f->player.rtp.at;

	if (f->player.state != PLAYER_PLAYS)
		return;
	now->clients++;
	now->rtsp++;
	now->backlog += left > 0 ? (uint64_t)left : 0;
}

static bool put_framed(struct rtsp_conn *c, const uint8_t *packet, size_t size, bool companion)
{
	uint8_t framed[4 + RTP_MAX];

	framed[0] = '$';
	framed[1] = (uint8_t)(c->transport.channel + companion);
	framed[2] = (uint8_t)(size >> 8);
	framed[3] = (uint8_t)size;
	memcpy(framed + 4, packet, size);
	return rtsp_conn_put(c, framed, size + 4, RTSP_OUT_MAX - RTSP_ANSWER_MAX);
}

/* How many went out; what is lost is lost. */
static int send_datagrams(const struct rtsp_flow *f, const struct iovec packet[], size_t n,
			  bool companion)
{
	union multicast_address to = f->group;
	const socklen_t to_size = to.any.sa_family == AF_INET6 ? sizeof(to.in6) : sizeof(to.in4);
	int sent;

	/* The port is at the same place in both. */
	to.in4.sin_port = htons((uint16_t)(ntohs(to.in4.sin_port) + companion));
	sent = datagram_send(companion ? f->server->rtcpfd : f->server->rtpfd, &to.any, to_size,
			     packet, n);
	return sent < 0 ? (int)n : sent;
}

static struct rtsp_conn *first_member(const struct rtsp_flow *f)
{
	return list_entry(list_first(&f->members), struct rtsp_conn, member);
}

static int send_framed(const struct rtsp_flow *f, const struct iovec packet[], size_t n,
		       bool companion)
{
	struct rtsp_conn *c = first_member(f);
	size_t i = 0;

	while (i < n && put_framed(c, packet[i].iov_base, packet[i].iov_len, companion))
		i++;
	return (int)i;
}

static int send_packets(struct player *p, const struct iovec packet[], size_t n, bool companion)
{
	struct rtsp_flow *f = container_of(p, struct rtsp_flow, player);
	const int sent = f->group.any.sa_family == AF_UNSPEC
				 ? send_framed(f, packet, n, companion)
				 : send_datagrams(f, packet, n, companion);

	for (int i = 0; i < sent; i++)
		count(f, packet[i].iov_len);
	return sent;
}

/* The flow goes with its last member. */
static void turned(struct player *p)
{
	struct rtsp_flow *f = container_of(p, struct rtsp_flow, player);
	const enum player_state state = p->state;
	struct list *next;

	if (player_plays(p) && f->number != NO_GROUP)
		return;
	for (struct list *l = f->members.next; l != &f->members; l = next) {
		struct rtsp_conn *c = list_entry(l, struct rtsp_conn, member);

		next = l->next;
		if (state == PLAYER_RESTS) {
			c->plays = false;
			rtsp_conn_rest(c);
		}
		c->lost |= state == PLAYER_BROKEN;
		rtsp_conn_settle(c);
	}
}

/* ---- life ---- */

static int join(struct rtsp_flow *f)
{
	struct server *s = f->server->worker->server;
	const struct object *o = f->player.object;

	if (s->options.release == RELEASE_NEVER)
		return 0;
	return release_join(&s->release, &f->reader, o->fd, o->live, 0, NULL);
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

static void close_flow(struct rtsp_flow *f)
{
	struct object *o = f->player.object;

	if (f->number != NO_GROUP && player_plays(&f->player))
		player_report(&f->player, true);
	player_fini(&f->player);
	if (f->reader.holding)
		leave_readers(f, o);
	list_remove(&f->all);
	object_put(o, f->server->worker->loop.now_ns);
	free(f);
}

/* Where a client gets its datagrams. */
static union multicast_address address_of(const struct rtsp_conn *c)
{
	union multicast_address a = {0};

	memcpy(&a, &c->peer, sizeof(a));
	a.in4.sin_port = htons(c->transport.port);
	return a;
}

/* Takes over the object's reference. 0 and *flow, or -errno. */
static int open_flow(struct rtsp *server, struct object *object, struct rtsp_flow **flow)
{
	struct rtsp_flow *f = calloc(1, sizeof(*f));
	int err;

	if (!f) {
		object_put(object, server->worker->loop.now_ns);
		return -ENOMEM;
	}
	f->server = server;
	f->number = NO_GROUP;
	list_init(&f->members);
	list_init(&f->all);
	f->player.send = send_packets;
	f->player.turned = turned;
	f->player.bye_ns = BYE_NS;
	err = player_init(&f->player, &server->worker->loop, object);
	if (!err)
		err = join(f);
	if (err)
		close_flow(f);
	else
		*flow = f;
	return err;
}

/* ---- groups ---- */

static struct rtsp_flow *find_group(struct rtsp *server, const struct object *o)
{
	for (struct list *l = server->flows.next; l != &server->flows; l = l->next) {
		struct rtsp_flow *f = list_entry(l, struct rtsp_flow, all);
		const struct object *its = f->player.object;

		if (its->st.st_ino == o->st.st_ino && its->st.st_dev == o->st.st_dev &&
		    f->player.state != PLAYER_BROKEN)
			return f;
	}
	return NULL;
}

/* The flows are in the order of their numbers; the first that is free, and whom it comes before. */
static unsigned free_number(struct rtsp *server, struct list **before)
{
	unsigned n = 0;

	for (*before = server->flows.next; *before != &server->flows; *before = (*before)->next) {
		if (list_entry(*before, struct rtsp_flow, all)->number != n)
			break;
		n++;
	}
	return n;
}

static int open_group(struct rtsp *server, struct object *object, struct rtsp_flow **flow)
{
	struct list *before;
	const unsigned number = free_number(server, &before);
	int err = open_flow(server, object, flow);

	if (err)
		return err;
	if (number >= server->groups->count) {
		close_flow(*flow);
		return -EMFILE;
	}
	(*flow)->number = number;
	(*flow)->group = multicast_group(server->groups, number);
	list_append(before, &(*flow)->all);
	return 0;
}

/* ---- members ---- */

/* It plays while a member does. */
static void rest_alone(struct rtsp_flow *f)
{
	for (struct list *l = f->members.next; l != &f->members; l = l->next) {
		if (list_entry(l, struct rtsp_conn, member)->plays)
			return;
	}
	player_rest(&f->player);
}

int rtsp_flow_enter(struct rtsp_conn *c, struct object *object)
{
	struct rtsp *server = c->server;
	struct rtsp_flow *f = c->transport.multicast ? find_group(server, object) : NULL;
	int err = 0;

	if (f)
		object_put(object, server->worker->loop.now_ns);
	else if (c->transport.multicast)
		err = open_group(server, object, &f);
	else
		err = open_flow(server, object, &f);
	if (err)
		return err;
	if (f->number == NO_GROUP && c->transport.tcp)
		f->player.bye_ns = 0;
	else if (f->number == NO_GROUP)
		f->group = address_of(c);
	c->flow = f;
	list_append(&f->members, &c->member);
	return 0;
}

void rtsp_flow_leave(struct rtsp_conn *c)
{
	struct rtsp_flow *f = c->flow;

	list_remove(&c->member);
	c->flow = NULL;
	c->plays = false;
	if (list_empty(&f->members)) {
		close_flow(f);
		return;
	}
	rest_alone(f);
}

void rtsp_flow_pause(struct rtsp_conn *c)
{
	c->plays = false;
	rest_alone(c->flow);
}
