#include "host/limits.h"

#include <errno.h>
#include <stdlib.h>

int limits_init(struct limits *r, uint64_t total, uint64_t client, size_t sites)
{
	atomic_init(&r->total.bps, total);
	atomic_init(&r->client.bps, client);
	r->own_total = total;
	r->own_client = client;
	r->sites = sites;
	r->space = calloc(sites + 1, sizeof(*r->space));
	r->space_lease = calloc(sites + 1, sizeof(*r->space_lease));
	return r->space && r->space_lease ? 0 : -ENOMEM;
}

void limits_fini(struct limits *r)
{
	free(r->space);
	free(r->space_lease);
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a && (!b || a < b) ? a : b;
}

/* The lower of what the options allow and what is lent. */
static uint64_t in_force(uint64_t own, const struct lease *lease, int64_t now_ns)
{
	return lower(own, lease->until_ns > now_ns ? lease->rate : 0);
}

uint64_t limits_only(const struct limits *r, size_t site)
{
	return lower(lower(r->total.bps, r->client.bps), r->space[site].bps);
}

static void set(struct limits *r, struct limit *limit, uint64_t bps)
{
	if (atomic_exchange(&limit->bps, bps) == bps)
		return;
	atomic_store(&limit->rate.due_ns, 0);
	atomic_fetch_add(&r->changes, 1);
}

void limits_update(struct limits *r, int64_t now_ns)
{
	set(r, &r->total, in_force(r->own_total, &r->total_lease, now_ns));
	set(r, &r->client, in_force(r->own_client, &r->client_lease, now_ns));
	for (size_t i = 0; i < r->sites; i++)
		set(r, &r->space[i], in_force(0, &r->space_lease[i], now_ns));
}

static int64_t sooner(const struct lease *lease, int64_t now_ns, int64_t next_ns)
{
	return lease->until_ns > now_ns && lease->until_ns < next_ns ? lease->until_ns : next_ns;
}

int64_t limits_next(const struct limits *r, int64_t now_ns)
{
	int64_t next = sooner(&r->total_lease, now_ns, INT64_MAX);

	next = sooner(&r->client_lease, now_ns, next);
	for (size_t i = 0; i < r->sites; i++)
		next = sooner(&r->space_lease[i], now_ns, next);
	return next;
}

static void charge(struct limit *limit, int64_t bytes, int64_t now_ns)
{
	const uint64_t bps = atomic_load_explicit(&limit->bps, memory_order_relaxed);

	if (bps > 0 && atomic_load(&limit->rate.due_ns) < now_ns + LIMITS_CHARGE_NS)
		rate_book(&limit->rate, bps, bytes, now_ns, 0);
}

void limits_charge(struct limits *r, size_t site, int64_t bytes, int64_t now_ns)
{
	charge(&r->total, bytes, now_ns);
	charge(&r->space[site], bytes, now_ns);
}
