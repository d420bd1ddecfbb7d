/*
 * Pushing a space's objects to a peer that takes them.
 *
 * Theory of operation. One object at a time, the first in the queue (host/push_queue.h), so that
 * the peer has them in the order they were published. It is released, or not sent again, only when
 * the peer has said that it has it all:
 *
 *	http	a reply of the class 2xx to a PUT. The connection is kept for the next one.
 *	tcp	the object's bytes and our FIN are acknowledged, and the peer has closed without
 *		an error. Until the FIN is sent the socket is set to reset the connection when it
 *		is closed, whoever closes it: a peer never sees a clean end of a part, not even when
 *		we are killed.
 *	unix	the peer has closed without an error. There is no such thing as a reset here, so a
 *		live object is sent when it is finished, all the others at once.
 *	udp, rtp
 *		all of it has been sent, and the peer's host has not said that nobody is there.
 *		More is not to be had: what a network loses is lost. Objects that are no transport
 *		stream are refused, and stay.
 *
 * Anything else is a failure: the connection is broken off, and the object begun anew after a time
 * that doubles with each failure in a row. An object that the peer refuses PUSH_TRIES times, or
 * that cannot be sent whole, then goes behind the others. Memory of an object that has not
 * been delivered whole is never given back.
 *
 * The peer is the only client there is, on the control socket (host/controller.h) as for the rates:
 * the lowest of those in force is its.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "host/multicast.h"
#include "host/push_target.h"

#define PUSH_TRIES 6

struct push_options {
	const char *url;
	struct push_target target;
	const char *source; /* "VM/SPACE", "VM/SPACE/GLOB" or a folder */
	bool once;	    /* what is there now, and end */
	bool release;	    /* remove what has been delivered */
	uint64_t rate;	    /* bytes per second, 0: as fast as it goes; not for datagrams */
	const char *congestion;
	struct multicast_way multicast; /* for udp and rtp; a TTL also where it is no group */
	const char *user;
	const char *runtime_dir;
	int64_t drain_ns;
};

/*
 * Pushes until SIGTERM or SIGINT; with `once`, until all is delivered, or has been tried PUSH_TRIES
 * times. 0; or -errno with *e.
 */
int push_run(const struct push_options *options, struct mn_error *e);
