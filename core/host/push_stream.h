/* Pushing over a stream: TCP and UNIX sockets, and HTTP's PUT. See host/push.h. */
#pragma once

#include "host/push_turn.h"

/* NULL: no memory. It connects when there is something to send. */
struct push_way *push_stream_open(struct push *push);
