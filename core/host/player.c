#include "host/player.h"

#include <errno.h>

#include "base/clock.h"

#define REPORT_NS (5 * NS_PER_S)
#define GROUP_NS  (5 * NS_PER_MS) /* what is due within it is sent together */
#define GROW_NS	  (20 * NS_PER_MS)
#define TURN	  16 /* groups */

static void set_timer(struct player *p, int64_t at_ns)
{
	if (loop_timer_set(p->loop, &p->timer, at_ns)) {
		p->state = PLAYER_BROKEN;
		p->error = -ENOMEM;
	}
}

static void break_off(struct player *p, int error)
{
	p->state = PLAYER_BROKEN;
	p->error = error;
}

bool player_report(struct player *p, bool bye)
{
	uint8_t text[RTCP_MAX];
	const struct iovec packet = {text, rtcp_format(&p->rtp, p->loop->now_ns, bye, text)};

	p->report_ns = p->loop->now_ns + REPORT_NS;
	return p->send(p, &packet, 1, true) != 0;
}

static void end(struct player *p)
{
	p->state = p->bye_ns < 0 ? PLAYER_RESTS : PLAYER_LEAVES;
	if (p->state == PLAYER_LEAVES)
		set_timer(p, p->loop->now_ns + p->bye_ns);
}

static void dry(struct player *p)
{
	if (p->object->live)
		set_timer(p, p->loop->now_ns + GROW_NS);
	else
		end(p);
}

static void leave(struct player *p)
{
	if (player_report(p, true))
		p->state = PLAYER_RESTS;
	else
		set_timer(p, p->loop->now_ns + GROUP_NS);
}

enum next {
	NEXT_NOW,
	NEXT_LATER, /* at *due_ns */
	NEXT_DRY,
	NEXT_END, /* where it shall stop */
	NEXT_BROKEN,
};

static enum next look(struct player *p, int *payload, int64_t *due_ns)
{
	const int64_t now = p->loop->now_ns;
	const struct object *o = p->object;

	*payload = rtp_next(&p->rtp, o->st.st_size, o->live, now, due_ns);
	if (*payload < 0 || o->broken)
		return NEXT_BROKEN;
	if (*payload == 0)
		return NEXT_DRY;
	if (p->stop_ns >= 0 && rtp_media_ns(&p->rtp, *due_ns) >= p->stop_ns)
		return NEXT_END;
	return *due_ns > now + GROUP_NS ? NEXT_LATER : NEXT_NOW;
}

/* What was not sent is sent another time. */
static void take_back(struct player *p, const struct rtp *before, size_t sent)
{
	int payload;
	int64_t due_ns;

	rtp_rewind(&p->rtp, before);
	for (size_t i = 0; i < sent; i++) {
		look(p, &payload, &due_ns);
		if (payload <= 0)
			return; /* truncated meanwhile, as the next look will find */
		rtp_advance(&p->rtp, payload);
	}
}

static void rest_until(struct player *p, enum next next, int64_t due_ns)
{
	if (next == NEXT_BROKEN)
		break_off(p, -EIO);
	else if (next == NEXT_LATER)
		set_timer(p, due_ns);
	else if (next == NEXT_DRY)
		dry(p);
	else if (next == NEXT_END)
		end(p);
}

/* How many of the next packets are due now: they are in `room`, and the player is behind them. */
static size_t gather(struct player *p, struct iovec packet[PLAYER_GROUP],
		     uint8_t room[PLAYER_GROUP][RTP_MAX], enum next *next, int64_t *due_ns)
{
	int payload = RTP_PAYLOAD;
	size_t n = 0;

	while (n < PLAYER_GROUP && payload == RTP_PAYLOAD) {
		*next = look(p, &payload, due_ns);
		if (*next != NEXT_NOW)
			break;
		packet[n].iov_base = room[n];
		packet[n].iov_len = rtp_format(&p->rtp, payload, *due_ns, room[n]);
		rtp_advance(&p->rtp, payload);
		n++;
	}
	return n;
}

/* Sends what is due, as much as goes together. True: there may be more. */
static bool send_group(struct player *p)
{
	const struct rtp before = p->rtp;
	uint8_t room[PLAYER_GROUP][RTP_MAX];
	struct iovec packet[PLAYER_GROUP];
	enum next next;
	int64_t due_ns;
	const size_t n = gather(p, packet, room, &next, &due_ns);
	const int sent = n > 0 ? p->send(p, packet, n, false) : 0;

	if (sent < 0) {
		break_off(p, sent);
		return false;
	}
	if ((size_t)sent < n) {
		take_back(p, &before, (size_t)sent);
		set_timer(p, p->loop->now_ns + GROUP_NS);
		return false;
	}
	rest_until(p, next, due_ns);
	return next == NEXT_NOW;
}

static void play_on(struct player *p)
{
	if (p->loop->now_ns >= p->report_ns)
		player_report(p, false);
	for (int i = 0; i < TURN; i++) {
		if (!send_group(p))
			return;
	}
	set_timer(p, p->loop->now_ns + GROUP_NS);
}

static void turn(struct timer *t)
{
	struct player *p = container_of(t, struct player, timer);

	if (p->state == PLAYER_PLAYS)
		play_on(p);
	else if (p->state == PLAYER_LEAVES)
		leave(p);
	p->turned(p);
}

int player_init(struct player *p, struct loop *loop, struct object *object)
{
	p->loop = loop;
	p->object = object;
	p->timer.fire = turn;
	p->stop_ns = -1;
	return rtp_init(&p->rtp, object->fd);
}

void player_fini(struct player *p)
{
	if (p->loop)
		player_rest(p);
	rtp_fini(&p->rtp);
}

void player_play(struct player *p)
{
	p->state = PLAYER_PLAYS;
	p->report_ns = p->loop->now_ns;
	set_timer(p, p->loop->now_ns);
}

void player_rest(struct player *p)
{
	p->state = PLAYER_RESTS;
	loop_timer_clear(p->loop, &p->timer);
}
