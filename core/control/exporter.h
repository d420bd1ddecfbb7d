/* The loop's figures over HTTP, on a TCP port or a Unix socket. */
#pragma once

#include <stddef.h>

#include "base/acceptor.h"
#include "base/error.h"
#include "base/loop.h"

struct tuner;

/*
 * Serves GET /metrics, one client at a time: a scrape is one small answer, and a client that is
 * slow to ask or to take it is cut off.
 */
#define EXPORTER_WAIT_NS 1000000000LL

struct exporter {
	struct acceptor listener;
	struct watch client; /* fd -1: none */
	struct timer deadline;
	struct loop *loop;
	const struct tuner *tuner;
	char *buf; /* FIGURES_ROOM() of them: the question, then the answer */
	size_t size, asked;
	size_t from, to; /* of the answer in it; to 0: not asked yet */
	char path[108];	 /* of a Unix socket, removed at the end; "": TCP */
};

/* `address` is an IP address, with its port, or a path. 0 or -errno with *e. */
int exporter_open(struct exporter *exporter, struct loop *loop, const struct tuner *tuner,
		  const char *address, unsigned short port, char *buf, size_t size,
		  struct mn_error *e);
void exporter_close(struct exporter *exporter);
