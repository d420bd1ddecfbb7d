/*
 * What clients are doing with each space: how many are being sent something, how many of them wait
 * at a live object's edge, and how much is still to be sent of what is there.
 *
 * Each worker counts among its own connections, every SURVEY_NS while it has any, so that nothing
 * is counted where bytes are sent; a sum may be so old.
 *
 * RTSP's sessions that play are clients, all those of a multicast sender as one, and are told
 * apart: they take what their stream's clock says, which tells nothing of how fast the space
 * drains.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SURVEY_NS 250000000LL

struct server;
struct timer;
struct worker;

struct survey {
	uint64_t sent, released, stalls; /* since the start */
	struct survey_now {
		uint64_t clients, edge, rtsp, backlog; /* edge: of HTTP's clients */
	} now;
};

void survey_init(struct worker *worker);

/* A connection has come. */
void survey_expect(struct worker *worker);

/* Of all workers, for the site of that number. */
struct survey survey_of(struct server *server, size_t site);
