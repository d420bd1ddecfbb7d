/*
 * A connection's hold on the object that it sends: how much of it the client's TCP has
 * acknowledged, and its release in the end (host/release.h).
 *
 * A client is given up for what its TCP does not take. The socket tells little of that: it takes
 * more only when a third of its buffer is free, which is minutes of a slow link once the buffer has
 * grown. So at the deadline the queue is compared with what it was.
 */
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <linux/sockios.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/conn.h"
#include "host/pacer.h"

#define ACK_POLL_NS (3 * NS_PER_MS)

/* Less in CONN_SEND_TIMEOUT_NS is nothing: who takes a byte now and then would be kept for ever. */
#define PROGRESS_MIN 4096

/* How much of what was sent the client's TCP has not acknowledged; a FIN counts as one. */
static int64_t unacknowledged(const struct conn *c)
{
	int queued = 0;

	if (ioctl(c->watch.fd, SIOCOUTQ, &queued) < 0)
		return INT64_MAX;
	return queued;
}

/*
 * What is acknowledged of the object is at least what was sent of it, less all that waits here or
 * is not acknowledged: heads and chunk frames among that only make us give back later. True once it
 * is all that was sent.
 */
static bool note_acked(struct conn *c, bool now)
{
	struct object *o = c->object;
	const int64_t queued = unacknowledged(c), unsent = (int64_t)(c->out_size - c->out_at);
	const bool all = queued <= (c->fin ? 1 : 0) && !c->out;

	o->given = release_acked(&c->worker->server->release, &c->reader, o->fd,
				 all ? c->at : c->at - queued - unsent, now);
	return all;
}

static void leave_readers(struct conn *c)
{
	struct worker *w = c->worker;
	struct object *o = c->object;
	const bool delivered = w->server->options.release == RELEASE_DELIVERED;
	const struct release_name name = {
		.rootfd = site_root(o->site, w->loop.now_ns),
		.fd = o->fd,
		.path = o->path,
		.size = o->live || o->broken || !delivered ? -1 : o->st.st_size,
	};
	/* ttl and lru count from now, and find that in the file's own access time. */
	static const struct timespec read_now[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};

	if (!delivered)
		futimens(o->fd, read_now);
	else
		note_acked(c, false);
	if (release_leave(&w->server->release, &c->reader, &name)) {
		log_debug("released /%s/%s", o->site->name, o->path);
		object_forget(o);
	}
}

void conn_leave_object(struct conn *c)
{
	struct worker *w = c->worker;
	struct object *o = c->object;

	if (!o)
		return;
	list_remove(&c->waiting);
	list_remove(&c->acking);
	pacer_leave(c);
	free(c->parts);
	c->parts = NULL;
	conn_unpack_end(c);
	if (c->reader.holding)
		leave_readers(c);
	c->object = NULL;
	object_put(o, w->loop.now_ns);
}

bool conn_counts_acks(const struct conn *c)
{
	return c->reader.holding && c->worker->server->options.release == RELEASE_DELIVERED;
}

void conn_full(struct conn *c)
{
	c->writable = false;
	c->queued = unacknowledged(c);
	if (c->deadline_ns == INT64_MAX)
		conn_set_deadline(c, CONN_SEND_TIMEOUT_NS);
}

bool conn_progressed(struct conn *c)
{
	const int64_t before = c->queued;

	c->queued = unacknowledged(c);
	return c->queued <= before - PROGRESS_MIN;
}

void conn_expect_acks(struct conn *c)
{
	struct worker *w = c->worker;

	if (list_empty(&c->acking))
		list_append(&w->acking, &c->acking);
	if (!w->ack_timer.slot)
		loop_timer_set(&w->loop, &w->ack_timer, w->loop.now_ns + ACK_POLL_NS);
}

enum step conn_check_ack(struct conn *c)
{
	if (!note_acked(c, true) || c->state != CONN_ACK)
		return STEP_WAIT;
	conn_leave_object(c);
	c->state = CONN_SEND; /* finish() goes on from there */
	return STEP_GO_ON;
}

enum step conn_await_acks(struct conn *c)
{
	c->state = CONN_ACK;
	if (conn_check_ack(c) == STEP_GO_ON)
		return STEP_GO_ON;
	c->queued = unacknowledged(c);
	conn_set_deadline(c, CONN_SEND_TIMEOUT_NS);
	conn_expect_acks(c);
	return STEP_WAIT;
}

void conn_check_acks(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, ack_timer);
	struct list round, *l;

	list_init(&round);
	list_move_all(&w->acking, &round);
	while ((l = list_first(&round)) != NULL) {
		struct conn *c = list_entry(l, struct conn, acking);

		list_remove(l);
		list_append(&w->acking, l);
		if (conn_check_ack(c) == STEP_GO_ON)
			conn_run(c);
	}
	if (!list_empty(&w->acking))
		loop_timer_set(&w->loop, t, w->loop.now_ns + ACK_POLL_NS);
}
