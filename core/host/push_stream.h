/* Pushing over a stream: TCP and UNIX sockets, and HTTP's PUT. See host/push.h. */
#pragma once

#include "host/push_turn.h"

/* Makes push->way, which connects when there is something to send. 0, or -ENOMEM with *e. */
int push_stream_open(struct push *push, struct mn_error *e);

/*
 * With the rights that are left: whether connections can be as the options say. 0, or -errno with
 * *e.
 */
int push_stream_check(const struct push_options *o, struct mn_error *e);
