#include "host/player.h"

#include <errno.h>

#include "base/clock.h"

#define REPORT_NS (5 * NS_PER_S)
#define GROUP_NS  (5 * NS_PER_MS) /* what is due within it is sent together */
#define GROW_NS	  (20 * NS_PER_MS)
#define TURN	  256

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
	uint8_t packet[RTCP_MAX];

	p->report_ns = p->loop->now_ns + REPORT_NS;
	return p->send(p, packet, rtcp_format(&p->rtp, p->loop->now_ns, bye, packet), true) != 0;
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

/* Sends one packet. True: there may be another one now. */
static bool send_next(struct player *p)
{
	const int64_t now = p->loop->now_ns;
	const struct object *o = p->object;
	uint8_t packet[RTP_MAX];
	int64_t due_ns = now;
	const int payload = rtp_next(&p->rtp, o->st.st_size, o->live, now, &due_ns);
	int sent;

	if (payload < 0 || o->broken) {
		break_off(p, -EIO);
		return false;
	}
	if (payload > 0 && p->stop_ns >= 0 && rtp_media_ns(&p->rtp, due_ns) >= p->stop_ns) {
		end(p);
		return false;
	}
	if (payload == 0) {
		dry(p);
		return false;
	}
	if (due_ns > now + GROUP_NS) {
		set_timer(p, due_ns);
		return false;
	}
	sent = p->send(p, packet, rtp_format(&p->rtp, payload, due_ns, packet), false);
	if (sent > 0)
		rtp_advance(&p->rtp, payload);
	else if (sent == 0)
		set_timer(p, now + GROUP_NS);
	else
		break_off(p, sent);
	return sent > 0;
}

static void play_on(struct player *p)
{
	if (p->loop->now_ns >= p->report_ns)
		player_report(p, false);
	for (int i = 0; i < TURN; i++) {
		if (!send_next(p))
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
