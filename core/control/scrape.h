/*
 * What `memnet stream` says of itself: bytes sent and released of each space, the limits of its
 * rates, the port it serves on. Asked for over its metrics' address (OpenMetrics text over HTTP),
 * once a look, on one connection that is kept.
 *
 * The answer is of another process of ours, but read as if it were not: what is too long or is not
 * understood is no answer, and a stream that does not answer is asked again on a new connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/loop.h"

#define SCRAPE_ANSWER_MAX 65536
#define SCRAPE_WAIT_NS	  2000000000LL
#define SCRAPE_RETRY_NS	  2000000000LL

struct scrape {
	struct watch watch; /* fd -1: not connected */
	struct loop *loop;
	char address[80]; /* as it was given, for messages */
	struct sockaddr_storage to;
	socklen_t to_size;
	bool waiting, warned;
	int64_t asked_ns, retry_ns;
	uint16_t port;			/* where it serves; 0: not known */
	uint64_t rate_bps, client_bps;	/* limits; 0: none */
	char answer[SCRAPE_ANSWER_MAX]; /* ends in NUL when it is complete */
	size_t size;
	/* Called for each space of an answer. */
	void (*space)(struct scrape *scrape, const char *space, const char *name, uint64_t value);
	/* Called when it waits no longer: it has answered, or failed. */
	void (*done)(struct scrape *scrape);
	void *cookie; /* theirs */
};

/* `address` is an IP address. 0 or -errno with *e. */
int scrape_open(struct scrape *scrape, struct loop *loop, const char *address, uint16_t port,
		struct mn_error *e);
void scrape_close(struct scrape *scrape);

/* Asks, unless the last question is still waiting. */
void scrape_ask(struct scrape *scrape);

/*
 * Finds the body of what has been received, `size` bytes and a NUL behind them. 0 when it is all
 * there, -EAGAIN when there is more to come, -EPROTO when it is no answer that we could take.
 */
int scrape_body(char *answer, size_t size, char **body);

/*
 * Reads OpenMetrics text: calls `line` with each sample's name, its label `space` ("" without one)
 * and its value; others, and what is not understood, are passed over. The text is cut in place.
 */
void scrape_parse(char *text,
		  void (*line)(void *cookie, const char *name, const char *space, uint64_t value),
		  void *cookie);
