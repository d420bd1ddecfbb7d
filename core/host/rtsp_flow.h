/*
 * An object on its way to a client of RTSP.
 *
 * A flow reads its object, so that it is not released; it never counts as delivery.
 */
#pragma once

#include "base/list.h"
#include "host/player.h"
#include "host/release.h"
#include "host/rtsp.h"

struct rtsp_conn;

struct rtsp_flow {
	struct player player;
	struct rtsp *server;
	struct reader reader;
	struct rtsp_conn *conn; /* whose it is */
};

/* Takes over the object's reference, on failure too. NULL: no memory, or it was released. */
struct rtsp_flow *rtsp_flow_open(struct rtsp_conn *conn, struct object *object);
void rtsp_flow_close(struct rtsp_flow *f);
