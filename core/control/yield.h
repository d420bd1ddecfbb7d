/*
 * Who makes way on a link that does not suffice for all: the coordination of computation and
 * transmission.
 *
 * A space whose jobs wait for room waits for the network. On the same link others are drained that
 * have room to spare, some of them faster than they are filled. What these take beyond their
 * producers' pace is no use to their jobs now, and is what the others lack. So while one that is
 * short of room has clients to take from it, and the link is busy, those that are not short are
 * sent no faster than YIELD_AHEAD times what they are filled at, and no slower than half of their
 * share of the link by weight. The rest is TCP's to divide.
 *
 * Two spaces on a stream of 8 MB/s, one of them full: its job took 4.9 s with this and 7.6 s
 * without (medians of five), and all of it was delivered at the same time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define YIELD_AHEAD 1.25
#define YIELD_BUSY  0.7 /* of the link's capacity, to begin with; half of that to go on */

struct yield_claim {
	double in_bps, out_bps; /* lately */
	double weight;		/* > 0 */
	bool served;		/* over this link */
	bool taking;		/* its clients have something to take */
	bool short_of_room;
	bool yields; /* already */
};

/* The most that each is to be sent in a second, in limit_bps[]; 0: any. */
void yield_decide(const struct yield_claim claims[], size_t n, double capacity_bps,
		  double limit_bps[]);
