#include "host/pacer.h"

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

/* What a client, and all of them, can catch up; a client begins with so much, too. */
#define CLIENT_SLACK_NS (500 * NS_PER_MS)
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

/* Has the socket take a quantum whole, and a second's worth on its way besides. */
static void set_socket(struct conn *c, uint64_t bps)
{
	const int buffer = (int)bps + 2 * PACKET_MAX;
	char name[16] = "";
	socklen_t size = sizeof(name);

	c->socket_rate = bps;
	if (getsockopt(c->watch.fd, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0)
		c->bbr = strncmp(name, "bbr", sizeof(name)) == 0;
	if (bps > 0 && bps <= BUFFER_RATE_MAX)
		setsockopt(c->watch.fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
}

/*
 * What a client begins with opens both TCPs' windows, so that its quanta go in one packet then.
 * Clients that come together would be served together from then on, if each did not begin with a
 * bit less than the one before.
 */
void pacer_accept(struct conn *c)
{
	struct worker *w = c->worker;
	const int64_t golden = (int64_t)(0.618034 * PERIOD_NS);

	c->rate.due_ns = w->loop.now_ns - CLIENT_SLACK_NS +
			 (int64_t)(w->counters.accepted % 1000000) * golden % PERIOD_NS;
}

/* ---- the rates that are shared ---- */

/* So many take turns that each gets something in a period, and no more than two ticks' worth. */
static int64_t shared_quantum(uint64_t bps, unsigned sharers)
{
	const int64_t turn =
		least(bytes_in(bps, PERIOD_NS) / sharers, bytes_in(bps, 2 * PACER_TICK_NS));

	return least(most(turn, PAGE), PACER_TURN_BYTES);
}

static struct file_rate *object_rate(struct conn *c)
{
	struct object *o = c->object;

	if (!o->rate)
		o->rate = rates_get(&c->worker->server->object_rates, o->st.st_dev, o->st.st_ino);
	return o->rate;
}

/* Books with all that are shared. When the bytes may be sent. */
static int64_t book(struct conn *c, int64_t bytes)
{
	struct server *s = c->worker->server;
	const struct server_options *o = &s->options;
	const int64_t now = c->worker->loop.now_ns;
	int64_t at = INT64_MIN;

	if (o->rate)
		at = rate_book(&s->rate, o->rate, bytes, now, SHARED_SLACK_NS);
	if (o->object_rate && c->object && object_rate(c))
		at = most(at, rate_book(&c->object->rate->rate, o->object_rate, bytes, now,
					SHARED_SLACK_NS));
	return at;
}

static void book_quantum(struct conn *c, int64_t bytes)
{
	const struct worker *w = c->worker;
	const struct server_options *o = &w->server->options;

	if (o->rate)
		bytes = least(bytes, shared_quantum(o->rate, w->conn_count * o->workers));
	if (o->object_rate && object_rate(c))
		bytes = least(bytes, shared_quantum(o->object_rate,
						    c->object->refs + c->object->rate->refs - 1));
	c->grant_ns = book(c, bytes);
	c->granted = bytes;
}

/* ---- both ---- */

int64_t pacer_may_send(struct conn *c, int64_t left, int64_t share)
{
	const struct worker *w = c->worker;
	const struct server_options *o = &w->server->options;
	int64_t bytes = least(left, share);

	if (c->socket_rate != o->client_rate)
		set_socket(c, o->client_rate);
	if (o->client_rate && bytes > 0) {
		if (c->rate.due_ns > w->loop.now_ns)
			return 0;
		bytes = least(bytes, client_quantum(c, o->client_rate));
	}
	if ((!o->rate && !o->object_rate) || bytes == 0)
		return bytes;
	if (c->granted == 0)
		book_quantum(c, bytes);
	return c->grant_ns > w->loop.now_ns ? 0 : least(bytes, c->granted);
}

enum step pacer_wait(struct conn *c, int64_t share)
{
	struct worker *w = c->worker;
	const struct server_options *o = &w->server->options;
	int64_t at = o->client_rate ? c->rate.due_ns : 0;

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
	const struct server_options *o = &w->server->options;
	const int64_t booked = least(bytes, c->granted);

	if (o->client_rate)
		rate_book(&c->rate, o->client_rate, bytes, w->loop.now_ns, CLIENT_SLACK_NS);
	c->granted -= booked;
	if (bytes > booked)
		book(c, bytes - booked);
}

void pacer_leave(struct conn *c)
{
	if (c->granted > 0)
		book(c, -c->granted);
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
	if (!list_empty(&w->runnable))
		loop_again(&w->loop);
}
