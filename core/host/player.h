/*
 * Plays a transport stream: what is due is sent, as RTP with RTCP's reports, and a timer set for
 * what comes next.
 *
 * Theory of operation. The player knows when, its owner knows where to: send() takes the packets.
 * What is due within 5 ms goes out together. After each turn of the timer the owner is told, and
 * may look at `state`, flush what it kept, or free the player.
 */
#pragma once

#include <sys/uio.h>

#include "base/loop.h"
#include "host/object.h"
#include "host/rtp.h"

#define PLAYER_GROUP 16 /* packets that are sent together at most */

enum player_state {
	PLAYER_RESTS, /* has not begun, was told to, or has sent all */
	PLAYER_PLAYS,
	PLAYER_LEAVES, /* all is sent, BYE is due */
	PLAYER_BROKEN, /* the object, or send() said so: `error` */
};

struct player {
	struct loop *loop;
	struct timer timer;
	struct object *object; /* the owner's */
	struct rtp rtp;
	enum player_state state;
	int error;	   /* -errno of PLAYER_BROKEN; -EIO: the object is not what it was */
	int64_t stop_ns;   /* of the stamps' time; -1: at the end */
	int64_t report_ns; /* when the next report is due */
	int64_t bye_ns;	   /* how long BYE waits: it could overtake the last packets. -1: none */
	/* Packets of RTP, PLAYER_GROUP at most, all of one size but the last, which may be smaller;
	 * or one of its companion RTCP. How many it has taken, fewer where there is no room now;
	 * -errno: never again. */
	int (*send)(struct player *p, const struct iovec packet[], size_t n, bool companion);
	/* The player's last word in a turn; it may be freed. */
	void (*turned)(struct player *p);
};

/* Fills in what the owner has not; nothing is played yet. 0 or -ENOMEM. */
int player_init(struct player *p, struct loop *loop, struct object *object);
/* Harmless for one that is all zeroes. */
void player_fini(struct player *p);

/* From where rtp_start() or rtp_join() has put it. */
void player_play(struct player *p);
void player_rest(struct player *p);

/* Sends a report, with BYE if this is the end. False: not now. */
bool player_report(struct player *p, bool bye);

static inline bool player_plays(const struct player *p)
{
	return p->state == PLAYER_PLAYS || p->state == PLAYER_LEAVES;
}
