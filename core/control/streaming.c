#include "control/streaming.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control/tuner.h"
#include "control/yield.h"

#define LATELY_S 1.5

/* ---- what comes in ---- */

static void heard(struct tuner *t, size_t i)
{
	t->space[i].streaming.told_ns = t->loop->now_ns;
}

static size_t find(void *cookie, const struct space_name *name)
{
	return tuner_find(cookie, name);
}

static void told(void *cookie, size_t i, const struct stream_news *news)
{
	struct tuner *t = cookie;
	struct streaming *s = &t->space[i].streaming;

	if (!news) {
		s->told_ns = 0;
		return;
	}
	s->sent_bytes += news->sent_bytes;
	s->released_bytes += news->released_bytes;
	heard(t, i);
}

static uint64_t count(struct streaming_counter *counter, uint64_t value)
{
	uint64_t before = counter->known ? counter->value : value;

	*counter = (struct streaming_counter){true, value};
	return value > before ? value - before : 0;
}

static struct streaming_named *named(const struct tuner *t, size_t stream, size_t i)
{
	return &t->named[stream * t->config->nspaces + i];
}

/* One that was found and named counts once. */
static void take_figure(struct scrape *scrape, const char *space, const char *name, uint64_t value)
{
	struct tuner *t = scrape->cookie;
	struct streaming_named *n;
	struct space_name wanted;
	size_t i;

	if (name_parse(space, &wanted, NULL))
		return; /* a plain folder that it serves */
	i = tuner_find(t, &wanted);
	if (i == t->config->nspaces)
		return;
	n = named(t, (size_t)(scrape - t->stream), i);
	if (streams_serve(t->streams, scrape->port)) {
		*n = (struct streaming_named){0};
		return;
	}
	if (strcmp(name, "memnet_stream_space_sent_bytes_total") == 0)
		t->space[i].streaming.sent_bytes += count(&n->sent, value);
	else if (strcmp(name, "memnet_stream_space_released_bytes_total") == 0)
		t->space[i].streaming.released_bytes += count(&n->released, value);
	else
		return;
	n->told_ns = t->loop->now_ns;
	heard(t, i);
}

static void done(void *cookie)
{
	struct tuner *t = cookie;

	t->answered(t);
}

static void scraped(struct scrape *scrape)
{
	done(scrape->cookie);
}

int streaming_open(struct tuner *t, struct mn_error *e)
{
	int err = streams_open(t->streams, t->loop, t->runtime_dir, t->config->nspaces, t->dry_run);

	t->streams->find = find;
	t->streams->told = told;
	t->streams->done = done;
	streaming_move(t);
	t->named = calloc(t->config->nstreams * t->config->nspaces + 1, sizeof(*t->named));
	if (err || !t->named)
		return mn_fail_errno(e, err ? -err : ENOMEM, "streams");
	for (size_t i = 0; !err && i < t->config->nstreams; i++) {
		t->stream[i].space = take_figure;
		t->stream[i].done = scraped;
		err = scrape_open(&t->stream[i], t->loop, t->config->stream[i].address,
				  t->config->stream[i].port, e);
	}
	return err;
}

void streaming_close(struct tuner *t)
{
	for (size_t i = 0; t->stream && i < t->config->nstreams; i++)
		scrape_close(&t->stream[i]);
	if (t->streams)
		streams_close(t->streams);
	free(t->stream);
	free(t->named);
	free(t->streams);
}

void streaming_move(struct tuner *t)
{
	t->streams->cookie = t;
	for (size_t i = 0; i < t->config->nstreams; i++)
		t->stream[i].cookie = t;
}

void streaming_find(struct tuner *t)
{
	streams_find(t->streams, &t->scratch.reader);
	streams_look(t->streams);
}

void streaming_ask(struct tuner *t)
{
	if (!t->last_ns)
		streaming_find(t);
	streams_ask(t->streams);
	for (size_t i = 0; i < t->config->nstreams; i++)
		scrape_ask(&t->stream[i]);
}

bool streaming_waiting(const struct tuner *t)
{
	for (size_t i = 0; i < t->config->nstreams; i++) {
		if (t->stream[i].waiting)
			return true;
	}
	return streams_waiting(t->streams);
}

/* ---- what a look makes of it ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static double lower(double limit, double bps)
{
	return limit > 0 && (bps <= 0 || limit < bps) ? limit : bps;
}

static bool lately(const struct tuner *t, int64_t told_ns)
{
	return told_ns && t->loop->now_ns - told_ns <= STREAMS_WAIT_NS;
}

/* The limits of the streams that were named and tell of it. */
static void lower_named(const struct tuner *t, size_t i, double *bps, double *client_bps)
{
	for (size_t k = 0; k < t->config->nstreams; k++) {
		if (!lately(t, named(t, k, i)->told_ns))
			continue;
		*bps = lower((double)t->stream[k].rate_bps, *bps);
		*client_bps = lower((double)t->stream[k].client_bps, *client_bps);
	}
}

/*
 * A limit that is set for a single space is the truth. How several divide one nobody knows: then
 * what each of them was seen to drain is, and no more than the limit.
 */
static void set_rates(struct tuner *t, size_t i, struct profiler_hints *hints)
{
	struct streaming *s = &t->space[i].streaming;
	double uplink = t->config->uplink[0] ? t->uplink.speed_bps : 0;
	double limit = streams_limit(t->streams, i);
	double client = streams_client_limit(t->streams, i);

	lower_named(t, i, &limit, &client);
	limit = limit > 0 ? limit : uplink;
	hints->drain_bps = s->drain.bps > 0 ? lower(limit, s->drain.bps) : 0;
	if (t->config->nspaces == 1 && limit > 0)
		hints->drain_bps = limit;
	hints->client_bps = client > 0 ? client : s->drain.client_bps;
}

/* Clients that had something to take at both ends of the time between two looks had it throughout.
 */
static void measure(struct tuner *t, size_t i, uint64_t sent_bytes, double dt_s)
{
	struct streaming *s = &t->space[i].streaming;
	struct stream_row row = streams_sum(t->streams, i);
	uint64_t clients = row.clients - least(row.idle, row.clients);

	if (sent_bytes >= s->sent_before)
		drain_take(&s->drain, sent_bytes - s->sent_before,
			   least(clients, s->clients_before), dt_s);
	s->sent_before = sent_bytes;
	s->clients_before = clients;
}

void streaming_look(struct tuner *t, size_t i, double dt_s)
{
	struct streaming *s = &t->space[i].streaming;
	struct profiler_hints *hints = &t->space[i].hints;

	hints->streamed = lately(t, s->told_ns);
	hints->sent_bytes = s->sent_bytes;
	hints->released_bytes = s->released_bytes;
	measure(t, i, hints->sent_bytes, dt_s);
	if (hints->streamed)
		set_rates(t, i, hints);
	else
		hints->drain_bps = hints->client_bps = 0;
}

/* ---- what goes out ---- */

static void follow(double *bps, uint64_t *before, uint64_t total, double dt_s)
{
	if (dt_s > 0)
		*bps += ((double)(total - *before) / dt_s - *bps) * (1 - exp(-dt_s / LATELY_S));
	*before = total;
}

/* What came and went since the last period. */
static void take_period(struct tuner *t, size_t i, struct yield_claim *claim)
{
	struct streaming *s = &t->space[i].streaming;
	struct stream_row row = streams_sum(t->streams, i);
	int64_t now = t->loop->now_ns;
	double dt_s = s->since_ns ? (double)(now - s->since_ns) / 1e9 : 0;

	follow(&s->in_bps, &s->in_before, t->space[i].in_total, dt_s);
	follow(&s->out_bps, &s->out_before, t->space[i].out_total, dt_s);
	s->since_ns = now;
	*claim = (struct yield_claim){
		.in_bps = s->in_bps,
		.out_bps = s->out_bps,
		.weight = t->config->space[i].wish.weight,
		.taking = row.clients > row.idle,
		.short_of_room = s->short_of_room,
		.yields = s->lent_bps != 0,
	};
	s->short_of_room = false;
}

static void limit(uint64_t *lent_bps, double bps)
{
	uint64_t whole = bps > 0 ? (uint64_t)fmin(bps, (double)LINK_RATE_MAX) : 0;

	if (whole && (!*lent_bps || whole < *lent_bps))
		*lent_bps = whole;
}

/* Those that are served over a link of that capacity; `link` NULL: by any stream. */
static void share_link(struct tuner *t, const struct stream_link *link, double capacity_bps,
		       struct yield_claim claims[])
{
	size_t n = t->config->nspaces;
	double bps[TUNER_SPACES_MAX];

	for (size_t i = 0; i < n; i++)
		claims[i].served = link ? link->row[i].known : streams_sum(t->streams, i).known;
	yield_decide(claims, n, capacity_bps, bps);
	for (size_t i = 0; i < n; i++)
		limit(&t->space[i].streaming.lent_bps, bps[i]);
}

void streaming_lend(struct tuner *t)
{
	struct yield_claim claims[TUNER_SPACES_MAX];
	uint64_t lease_ms = 3 * t->config->tuning.period_ns / 1000000;

	for (size_t i = 0; i < t->config->nspaces; i++) {
		take_period(t, i, &claims[i]);
		t->space[i].streaming.lent_bps = 0;
	}
	for (size_t k = 0; k < STREAMS_MAX; k++) {
		const struct stream_link *link = &t->streams->link[k];

		if (link->watch.fd >= 0 && link->stream.rate_bps)
			share_link(t, link, (double)link->stream.rate_bps, claims);
	}
	if (t->config->uplink[0] && t->uplink.speed_bps > 0)
		share_link(t, NULL, t->uplink.speed_bps, claims);
	for (size_t i = 0; i < t->config->nspaces; i++)
		streams_lend(t->streams, i, &t->config->space[i].name,
			     t->space[i].streaming.lent_bps, least(lease_ms, LINK_LEASE_MAX_MS));
}
