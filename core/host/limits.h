/*
 * The rates in force: those of the options, and what the controller has lent over its socket.
 *
 * Theory of operation. A limit that the controller sets is a lease: it lowers what the options
 * allow until its end, and lapses by itself. Worker 0 keeps the leases and works out what is in
 * force, into atomics that every worker reads when it sends: the total, which workers share evenly,
 * and that of each space. The rate of a client is the kernel's to keep (SO_MAX_PACING_RATE), so
 * when that changes each worker sets it on its own connections; new ones have it from the socket
 * they were accepted by.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;
struct worker;
struct site;

/* Bytes a second; 0: no limit. */
struct lease {
	uint64_t rate;
	int64_t until_ns;
};

struct limits {
	atomic_uint_least64_t total, client;
	atomic_uint_least64_t *space; /* of each site, in their order */
	size_t sites;
	/* Worker 0's. */
	struct lease total_lease, client_lease, *space_lease;
};

/* With what the server's options say. 0 or -ENOMEM. */
int limits_init(struct limits *limits, const struct server *server, size_t sites);
void limits_fini(struct limits *limits);

/*
 * Worker 0: works out what is in force at now_ns; true where the clients' rate is another one now.
 * limits_next() is when to do so again, INT64_MAX for never.
 */
bool limits_update(struct limits *limits, const struct server *server, int64_t now_ns);
int64_t limits_next(const struct limits *limits, int64_t now_ns);

static inline uint64_t limits_total(struct limits *r)
{
	return atomic_load_explicit(&r->total, memory_order_relaxed);
}

static inline uint64_t limits_client(struct limits *r)
{
	return atomic_load_explicit(&r->client, memory_order_relaxed);
}

static inline uint64_t limits_space(struct limits *r, size_t site)
{
	return atomic_load_explicit(&r->space[site], memory_order_relaxed);
}
