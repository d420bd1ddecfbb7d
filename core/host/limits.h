/*
 * The rates in force: those of the options, and what the controller has lent over its socket.
 *
 * Theory of operation. A limit that the controller sets is a lease: it lowers what the options
 * allow until its end, and lapses by itself. One thread (worker 0, or a push) keeps the leases and
 * works out what is in force, into atomics that every worker reads when it sends: the total, that
 * of each space, that of a client. What was booked (host/rate.h) at another rate is void: `changes`
 * tells.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/rate.h"

/* Bytes a second; 0: no limit. */
struct lease {
	uint64_t rate;
	int64_t until_ns;
};

struct limit {
	atomic_uint_least64_t bps; /* 0: none */
	struct rate rate;
};

struct limits {
	struct limit total, client; /* client: its rate is each connection's own */
	struct limit *space;	    /* of each site, in their order */
	atomic_uint changes;	    /* of any of these */
	size_t sites;
	uint64_t own_total, own_client; /* of the options */
	/* The keeper's. */
	struct lease total_lease, client_lease, *space_lease;
};

/* With what the options say. 0 or -ENOMEM. limits_fini() takes what was all zeroes, too. */
int limits_init(struct limits *limits, uint64_t total, uint64_t client, size_t sites);
void limits_fini(struct limits *limits);

/*
 * The keeper: works out what is in force at now_ns. limits_next() is when to do so again, INT64_MAX
 * for never.
 */
void limits_update(struct limits *limits, int64_t now_ns);
int64_t limits_next(const struct limits *limits, int64_t now_ns);

/*
 * What goes out whatever the limits say (RTSP) is booked nevertheless, with the total and the
 * site's: the others get what it leaves. They are put off by LIMITS_CHARGE_NS at most, so that they
 * get something even where it takes all.
 */
#define LIMITS_CHARGE_NS 1000000000LL
void limits_charge(struct limits *limits, size_t site, int64_t bytes, int64_t now_ns);

/* The least of all that are in force for the only client of a site; 0: none. */
uint64_t limits_only(const struct limits *limits, size_t site);

static inline uint64_t limits_total(struct limits *r)
{
	return atomic_load_explicit(&r->total.bps, memory_order_relaxed);
}

static inline uint64_t limits_client(struct limits *r)
{
	return atomic_load_explicit(&r->client.bps, memory_order_relaxed);
}

static inline uint64_t limits_space(struct limits *r, size_t site)
{
	return atomic_load_explicit(&r->space[site].bps, memory_order_relaxed);
}
