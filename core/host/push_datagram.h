/*
 * Pushing a transport stream as datagrams: as they are (udp), or as RTP with RTCP beside it (rtp).
 * See host/push.h.
 */
#pragma once

#include "host/push_turn.h"

/* Opens the sockets, none later, and makes push->way. 0, or -errno with *e. */
int push_datagram_open(struct push *push, struct mn_error *e);
