/* Figures in OpenMetrics text. Each worker counts its own; a sum of them may be a moment old. */
#pragma once

#include <stdint.h>

#include "host/text.h"

struct server;

struct counters {
	uint64_t accepted;
	uint64_t responses[6]; /* by the status' first digit; 0: refused unread */
	uint64_t aborted;      /* begun and not finished */
	uint64_t stalls;       /* of these, as the client took nothing for too long */
	uint64_t sent;	       /* bytes, heads included */
};

/* Puts all of it into body->buf, to be freed. 0 or -ENOMEM. */
int metrics_format(struct server *server, struct text *body);
