/*
 * The RTSP server (RFC 2326) for MPEG transport streams, finished and live.
 *
 * Theory of operation. It runs in the first worker's loop and shares its store. A connection has
 * one session at most, and the session ends with it. Over UDP all sessions send from one pair of
 * sockets, to the address that the connection came from and no other: a client cannot have a third
 * party flooded. Over TCP what the socket does not take is kept, RTSP_OUT_MAX of it, and the
 * stream waits. Multicast is for those who ask for it, where the server has been given groups; it
 * has one sender for all of an object's clients.
 */
#pragma once

#include <netinet/in.h>

#include "base/acceptor.h"
#include "base/error.h"
#include "base/list.h"
#include "host/multicast.h"

#define RTSP_CONNS_MAX 1024

struct worker;

struct rtsp {
	struct worker *worker; /* NULL: not in use */
	struct acceptor listener;
	struct list conns;
	unsigned count;
	struct list flows;		      /* of multicast, by number (host/rtsp_flow.h) */
	const struct multicast_range *groups; /* not its own; NULL: no multicast */
	int rtpfd, rtcpfd;		      /* not its own, as the listener's */
	uint16_t port;			      /* of rtpfd; rtcpfd has the next */
};

/*
 * The pair of UDP sockets at the address, with any port; for multicast, too, if there are groups.
 * 0, or -errno with *e.
 */
int rtsp_bind(const struct sockaddr *address, socklen_t size, const struct multicast_range *groups,
	      const struct multicast_way *way, int fds[2], struct mn_error *e);

/* Takes clients from the listening socket, from now on; `groups`, NULL for no multicast, stays the
 * caller's. 0 or -errno. */
int rtsp_init(struct rtsp *s, struct worker *worker, int listenfd, const int fds[2],
	      const struct multicast_range *groups);

/* Adds what is played to each site's survey (host/survey.h); for one not in use, nothing. */
void rtsp_survey(const struct rtsp *s);

/* Ends all sessions; for one that was never set up, nothing. */
void rtsp_fini(struct rtsp *s);
