/*
 * The RTSP server (RFC 2326) for MPEG transport streams, finished and live.
 *
 * Theory of operation. It runs in the first worker's loop and shares its store. A connection has
 * one session at most, and the session ends with it. Over UDP all sessions send from one pair of
 * sockets, to the address that the connection came from and no other: a client cannot have a third
 * party flooded. Over TCP what the socket does not take is kept, RTSP_OUT_MAX of it, and the
 * stream waits. A session reads its object, so that it is not released; it never counts as
 * delivery.
 */
#pragma once

#include <netinet/in.h>

#include "base/error.h"
#include "base/list.h"
#include "base/loop.h"

#define RTSP_CONNS_MAX 1024

struct worker;

struct rtsp {
	struct worker *worker; /* NULL: not in use */
	struct watch listener;
	struct list conns;
	unsigned count;
	int rtpfd, rtcpfd; /* not its own, as the listener's */
	uint16_t port;	   /* of rtpfd; rtcpfd has the next */
};

/* The pair of UDP sockets at the address, with any port. 0, or -errno with *e. */
int rtsp_bind(const struct sockaddr *address, socklen_t size, int fds[2], struct mn_error *e);

/* Takes clients from the listening socket, from now on. 0 or -errno. */
int rtsp_init(struct rtsp *s, struct worker *worker, int listenfd, const int fds[2]);

/* Ends all sessions; for one that was never set up, nothing. */
void rtsp_fini(struct rtsp *s);
