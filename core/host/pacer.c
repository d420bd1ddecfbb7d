#include "host/pacer.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define PAGE 4096

/* A quantum: so much of the rate, no more than a packet holds, but what a tick needs. */
#define PERIOD_NS     (198 * NS_PER_MS)
#define PERIOD_BBR_NS (235 * NS_PER_MS)
#define PACKET_MAX    (15 * PAGE)

/* Slower clients' sockets are given room for a quantum from the first; others size themselves. */
#define BUFFER_RATE_MAX (512 * 1024)

/* What a client's socket may hold that its TCP has not sent yet: no less than this. */
#define UNSENT_MIN (8 * PAGE)

/* What a client, and all of them, can catch up. */
#define CLIENT_SLACK_NS NS_PER_S
#define SHARED_SLACK_NS (4 * PACER_TICK_NS)

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t bytes_in(uint64_t bps, int64_t ns)
{
	return (int64_t)((double)bps * (double)ns / (double)NS_PER_S);
}

/* ---- the wheel ---- */

static void set_timer(struct worker *w)
{
	for (int64_t tick = w->tick + 1; tick < w->tick + PACER_SLOTS; tick++) {
		if (list_empty(&w->wheel[tick % PACER_SLOTS]))
			continue;
		loop_timer_set(&w->loop, &w->wheel_timer, tick * PACER_TICK_NS);
		return;
	}
}

static void turn_wheel(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, wheel_timer);
	const int64_t now = w->loop.now_ns / PACER_TICK_NS;

	for (w->tick = most(w->tick, now - PACER_SLOTS); w->tick < now;) {
		w->tick++;
		list_move_all(&w->wheel[w->tick % PACER_SLOTS], &w->runnable);
	}
	set_timer(w);
}

/* Those that wait for longer than the wheel goes round look again when it has. */
static void put_on_wheel(struct conn *c, int64_t at_ns)
{
	struct worker *w = c->worker;
	int64_t tick = at_ns / PACER_TICK_NS + 1;

	if (!w->wheel_timer.slot)
		w->tick = w->loop.now_ns / PACER_TICK_NS;
	tick = least(tick, w->tick + PACER_SLOTS - 1);
	list_append(&w->wheel[tick % PACER_SLOTS], &c->runnable);
	if (!w->wheel_timer.slot || w->wheel_timer.at_ns > tick * PACER_TICK_NS)
		loop_timer_set(&w->loop, &w->wheel_timer, tick * PACER_TICK_NS);
	conn_set_no_deadline(c);
}

void pacer_init(struct worker *w)
{
	list_init(&w->runnable);
	for (int i = 0; i < PACER_SLOTS; i++)
		list_init(&w->wheel[i]);
	w->wheel_timer.fire = turn_wheel;
}

/* ---- one client's rate ---- */

/* Whole pages of the object, which are references; their parts would be one more each. */
static int64_t client_quantum(const struct conn *c, uint64_t bps)
{
	const int64_t bytes = bytes_in(bps, c->bbr ? PERIOD_BBR_NS : PERIOD_NS);
	const int64_t packet = most(PACKET_MAX, bytes_in(bps, PACER_TICK_NS) / PAGE * PAGE);
	const int64_t quantum = least(bytes / PAGE * PAGE, packet);

	if (bytes < 2 * PAGE)
		return most(bytes, 1);
	return quantum - (c->at + quantum) % PAGE;
}

/* 0: it sizes itself. */
static int socket_buffer(uint64_t bps)
{
	return bps > 0 && bps <= BUFFER_RATE_MAX ? (int)bps + 2 * PACKET_MAX : 0;
}

/*
 * Has the socket take a quantum whole, and a second's worth on its way besides, but no further one
 * while an eighth of a second's waits for the client's window.
 */
static void set_socket(struct conn *c, uint64_t bps)
{
	const int buffer = socket_buffer(bps);
	const int unsent = bps ? (int)most(UNSENT_MIN, least((int64_t)(bps / 8), INT_MAX)) : 0;
	const int unlocked = 0;
	char name[16] = "";
	socklen_t size = sizeof(name);

	/* A piece may have been minutes' worth of another rate. */
	c->rate.due_ns = least(c->rate.due_ns, c->worker->loop.now_ns + CLIENT_SLACK_NS);
	if (getsockopt(c->watch.fd, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0)
		c->bbr = strncmp(name, "bbr", sizeof(name)) == 0;
	if (buffer > 0)
		setsockopt(c->watch.fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	else if (socket_buffer(c->socket_rate) > 0)
		setsockopt(c->watch.fd, SOL_SOCKET, SO_BUF_LOCK, &unlocked, sizeof(unlocked));
	setsockopt(c->watch.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	c->socket_rate = bps;
}

/*
 * Clients that come together would be served together from then on: so the second quantum comes
 * sooner, for each one by another part of the period.
 */
void pacer_accept(struct conn *c)
{
	struct worker *w = c->worker;
	const int64_t golden = (int64_t)(0.618034 * PERIOD_NS);

	c->rate.due_ns =
		w->loop.now_ns - (int64_t)(w->counters.accepted % 1000000) * golden % PERIOD_NS;
}

/* ---- the rates that are shared ---- */

/* So many take turns that each gets something in a period, and no more than two ticks' worth. */
static int64_t shared_quantum(uint64_t bps, unsigned sharers)
{
	const int64_t turn =
		least(bytes_in(bps, PERIOD_NS) / sharers, bytes_in(bps, 2 * PACER_TICK_NS));

	return least(most(turn, PAGE), PACER_TURN_BYTES);
}

/* A rate that a connection has part in; bps 0: no limit. */
struct part {
	struct rate *rate;
	uint64_t bps;
	unsigned sharers;
};

#define PARTS 3

static struct part part_in_object(struct conn *c, uint64_t bps)
{
	struct object *o = c->object;

	if (bps > 0 && !o->rate)
		o->rate = rates_get(&c->worker->server->object_rates, o->st.st_dev, o->st.st_ino);
	if (bps == 0 || !o->rate)
		return (struct part){0};
	return (struct part){&o->rate->rate, bps, o->refs + o->rate->refs - 1};
}

static void find_parts(struct conn *c, struct part parts[PARTS])
{
	const struct worker *w = c->worker;
	struct limits *limits = &w->server->limits;
	const unsigned all = w->conn_count * w->server->options.workers;
	size_t site;

	memset(parts, 0, PARTS * sizeof(*parts));
	parts[0] = (struct part){&limits->total.rate, limits_total(limits), all};
	if (!c->object)
		return;
	site = (size_t)(c->object->site - w->sites.site);
	parts[1] = (struct part){&limits->space[site].rate, limits_space(limits, site), all};
	parts[2] = part_in_object(c, w->server->options.object_rate);
}

/* Books with all of them. When the bytes may be sent. */
static int64_t book(const struct conn *c, const struct part parts[PARTS], int64_t bytes)
{
	const int64_t now = c->worker->loop.now_ns;
	int64_t at = INT64_MIN;

	for (int i = 0; i < PARTS; i++) {
		if (parts[i].bps > 0)
			at = most(at, rate_book(parts[i].rate, parts[i].bps, bytes, now,
						SHARED_SLACK_NS));
	}
	return at;
}

/* What is booked already, or anew: at most `bytes`. */
static int64_t granted(struct conn *c, int64_t bytes)
{
	const unsigned changes = atomic_load(&c->worker->server->limits.changes);
	struct part parts[PARTS];
	bool limited = false;

	if (c->granted > 0 && c->limits_seen == changes)
		return c->grant_ns > c->worker->loop.now_ns ? 0 : least(bytes, c->granted);
	c->granted = 0;
	find_parts(c, parts);
	for (int i = 0; i < PARTS; i++) {
		if (parts[i].bps > 0)
			bytes = least(bytes, shared_quantum(parts[i].bps, parts[i].sharers));
		limited |= parts[i].bps > 0;
	}
	if (!limited)
		return bytes;
	c->limits_seen = changes;
	c->grant_ns = book(c, parts, bytes);
	c->granted = bytes;
	return c->grant_ns > c->worker->loop.now_ns ? 0 : bytes;
}

/* ---- both ---- */

int64_t pacer_may_send(struct conn *c, int64_t left, int64_t share)
{
	const struct worker *w = c->worker;
	const uint64_t bps = limits_client(&w->server->limits);
	int64_t bytes = least(left, share);

	if (c->socket_rate != bps)
		set_socket(c, bps);
	if (bps > 0 && bytes > 0) {
		if (c->rate.due_ns > w->loop.now_ns)
			return 0;
		bytes = least(bytes, client_quantum(c, bps));
	}
	return bytes > 0 ? granted(c, bytes) : 0;
}

enum step pacer_wait(struct conn *c, int64_t share)
{
	struct worker *w = c->worker;
	int64_t at = limits_client(&w->server->limits) ? c->rate.due_ns : 0;

	if (c->granted > 0)
		at = most(at, c->grant_ns);
	list_remove(&c->runnable);
	if (share == 0 || at <= w->loop.now_ns)
		list_append(&w->runnable, &c->runnable);
	else
		put_on_wheel(c, at);
	return STEP_WAIT;
}

void pacer_sent(struct conn *c, int64_t bytes)
{
	const struct worker *w = c->worker;
	const uint64_t bps = limits_client(&w->server->limits);
	const int64_t booked = least(bytes, c->granted);
	struct part parts[PARTS];

	if (bps > 0)
		rate_book(&c->rate, bps, bytes, w->loop.now_ns, CLIENT_SLACK_NS);
	c->granted -= booked;
	if (bytes == booked)
		return;
	find_parts(c, parts);
	book(c, parts, bytes - booked);
}

void pacer_leave(struct conn *c)
{
	struct part parts[PARTS];

	if (c->granted > 0 && c->limits_seen == atomic_load(&c->worker->server->limits.changes)) {
		find_parts(c, parts);
		book(c, parts, -c->granted);
	}
	c->granted = 0;
}

void pacer_run(struct worker *w)
{
	struct list round, *l;

	list_init(&round);
	list_move_all(&w->runnable, &round);
	while ((l = list_first(&round)) != NULL) {
		list_remove(l);
		conn_run(list_entry(l, struct conn, runnable));
	}
}
