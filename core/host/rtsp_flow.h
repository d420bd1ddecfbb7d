/*
 * An object on its way to a client of RTSP, or by multicast to all that asked for it.
 *
 * A flow reads its object, so that it is not released; it never counts as delivery. One of
 * multicast has as many members as it has sessions: it plays while any of them does, from where
 * the first one asked for, and ends with a BYE when the last one leaves. Its group is another one
 * than each other flow's.
 *
 * A rate does not slow it down: a stream that comes slower than it is to be played is of no use.
 * But its bytes are booked, and others make way.
 */
#pragma once

#include "base/list.h"
#include "host/multicast.h"
#include "host/player.h"
#include "host/release.h"
#include "host/rtsp.h"

struct rtsp_conn;

struct rtsp_flow {
	struct player player;
	struct rtsp *server;
	struct reader reader;
	struct list members;	       /* connections */
	struct list all;	       /* multicast: among the server's */
	unsigned number;	       /* multicast: the range's group; UINT_MAX: unicast */
	union multicast_address group; /* where datagrams go; AF_UNSPEC: within the connection */
};

/*
 * Makes the client a member of a flow of the object, by its c->transport: its own, or the object's
 * by multicast. Takes over the object's reference, on failure too. 0; -ENOENT: it was released just
 * now; -ENODATA: given back in part; -EMFILE: no group left; or another -errno.
 */
int rtsp_flow_enter(struct rtsp_conn *c, struct object *object);
void rtsp_flow_leave(struct rtsp_conn *c);

/* Adds it to its site's survey, if it plays. */
void rtsp_flow_survey(const struct rtsp_flow *f);

/* The client does not play any more (c->plays); the flow does while another one does. */
void rtsp_flow_pause(struct rtsp_conn *c);
