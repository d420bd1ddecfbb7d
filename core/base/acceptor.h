/*
 * A socket that listens, in a loop.
 *
 * It is ready for as long as a client waits there. So where the process has no descriptor left for
 * one it rests for a moment, rather than keep the loop busy with being ready.
 */
#pragma once

#include <sys/socket.h>

#include "base/loop.h"

#define ACCEPTOR_REST_NS 100000000LL

struct acceptor {
	struct watch watch; /* the owner's `ready` */
	struct loop *loop;  /* NULL: does not listen */
	uint32_t events;
	struct timer rest;
};

/*
 * Calls `ready` with `events` (EPOLLIN, EPOLLEXCLUSIVE) when there are clients. The socket stays
 * the caller's. 0 or -errno.
 */
int acceptor_start(struct acceptor *a, struct loop *loop, int fd, uint32_t events,
		   void (*ready)(struct watch *w, uint32_t events));

/* Harmless for one that does not listen, or is all zeroes. */
void acceptor_stop(struct acceptor *a);

/*
 * The next client's descriptor, which does not block. Or -errno: -EAGAIN and others, there is none
 * just now; those of acceptor_full(), there is no descriptor for it, and the socket rests. `peer`
 * and `size` as accept(2) has them.
 */
int acceptor_take(struct acceptor *a, struct sockaddr *peer, socklen_t *size);
bool acceptor_full(int err);
