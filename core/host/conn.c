/*
 * The life of a connection. What it does with its time is in conn_read.c, answer.c, conn_send.c and
 * conn_hold.c; when it may send, in pacer.h.
 *
 * Theory of operation. A connection is in one of five states:
 *
 *	HEAD    reads until a request is there, then answers it
 *	RELOAD  keeps the request until its playlist has changed (conn_reload.c)
 *	SEND    sends the response; waits for room in the socket, or for a live object to grow
 *	ACK     has sent all; waits for the client's TCP to acknowledge it, where that releases
 *	LINGER  has refused something and sent all; reads and drops what the client still sends, as
 *	        closing with unread input would have TCP destroy the response on its way
 *
 * The socket is watched edge-triggered for both directions from accept(2) to close(2): one
 * epoll_ctl(2) in its life. `readable` and `writable` remember what the edges said until a call
 * says otherwise.
 *
 * Nothing is kept for a connection between requests but this struct. Input is read into the
 * worker's buffer; only a part of a request, or a pipelined next one, is saved in a buffer of its
 * own.
 */
#include <limits.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/access_log.h"
#include "host/conn.h"
#include "host/pacer.h"

#define IDLE_TIMEOUT_NS	  (75 * NS_PER_S) /* between requests */
#define LINGER_TIMEOUT_NS (5 * NS_PER_S)

/* Responses in a turn, to who sends requests without waiting for each. */
#define TURN_RESPONSES 16

/* ---- life ---- */

static void free_pointer(char **p)
{
	free(*p);
	*p = NULL;
}

static void conn_ready(struct watch *watch, uint32_t events);
static void conn_expired(struct timer *t);

void conn_init(struct worker *w)
{
	list_init(&w->conns);
	list_init(&w->acking);
	list_init(&w->spare);
	list_init(&w->unpacking);
	w->ack_timer.fire = conn_check_acks;
	pacer_init(w);
	survey_init(w);
}

#define SLAB 64

/* A slab is never given back: what was once needed will be again. */
static struct conn *conn_new(struct worker *w)
{
	struct list *l = list_first(&w->spare);

	if (!l) {
		struct conn *slab = calloc(SLAB, sizeof(*slab));

		for (int i = 0; slab && i < SLAB; i++)
			list_append(&w->spare, &slab[i].all);
		l = list_first(&w->spare);
	}
	if (!l)
		return NULL;
	list_remove(l);
	return list_entry(l, struct conn, all);
}

static struct peer peer_of(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *in4 = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;
	struct peer peer = {{0}};

	if (ss->ss_family == AF_INET)
		memcpy(peer.address, &in4->sin_addr, 4);
	else if (ss->ss_family == AF_INET6)
		memcpy(peer.address, &in6->sin6_addr, 16);
	return peer;
}

/* A deadline only ever moves back while its timer stays: see base/loop.h. */
void conn_set_deadline(struct conn *c, int64_t after_ns)
{
	struct loop *loop = &c->worker->loop;

	c->deadline_ns = loop->now_ns + after_ns;
	if (!c->timer.slot || c->timer.at_ns > c->deadline_ns)
		loop_timer_set(loop, &c->timer, c->deadline_ns);
}

void conn_set_no_deadline(struct conn *c)
{
	c->deadline_ns = INT64_MAX;
}

void conn_accept(struct worker *w, int fd, const struct sockaddr_storage *peer, bool metrics)
{
	struct conn *c = conn_new(w);

	if (!c) {
		close(fd);
		return;
	}
	*c = (struct conn){.watch = {fd, conn_ready}, .worker = w, .peer = peer_of(peer)};
	c->metrics = metrics;
	w->counters.accepted++;
	c->timer.fire = conn_expired;
	list_init(&c->all);
	list_init(&c->runnable);
	list_init(&c->waiting);
	list_init(&c->acking);
	list_append(&w->conns, &c->all);
	w->conn_count++;
	pacer_accept(c);
	conn_set_deadline(c, CONN_HEAD_TIMEOUT_NS);
	survey_expect(w);
	loop_add(&w->loop, &c->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

void conn_begin_log(struct conn *c)
{
	struct worker *w = c->worker;

	if (w->server->logfd >= 0 && !c->log)
		c->log = access_log_begin(&w->request, &c->peer, w->server->options.log_json);
}

static void log_response(struct conn *c, bool complete)
{
	struct worker *w = c->worker;
	const bool json = w->server->options.log_json;
	const struct access_end end = {
		.status = c->status,
		.bytes = c->sent > c->head_size ? c->sent - c->head_size : 0,
		.took_ns = clock_ns() - c->began_ns,
		.complete = complete,
	};

	if (!access_log_end(&w->lines, c->log, &end, json)) {
		access_log_flush(&w->lines, w->server->logfd);
		access_log_end(&w->lines, c->log, &end, json);
	}
	free_pointer(&c->log);
}

/* Counts and logs the response under way, if there is one. */
static void end_response(struct conn *c, bool complete)
{
	struct worker *w = c->worker;

	if (c->status == 0)
		return;
	w->counters.responses[c->status / 100]++;
	w->counters.aborted += !complete;
	if (c->log)
		log_response(c, complete);
	c->status = 0;
	c->sent = 0;
	c->held_until_ns = 0;
}

void conn_close(struct conn *c)
{
	struct worker *w = c->worker;

	end_response(c, false);
	conn_leave_object(c);
	list_remove(&c->waiting);
	free_pointer(&c->log);
	free_pointer(&c->in);
	conn_drop_output(c);
	loop_remove(&w->loop, &c->watch);
	loop_timer_clear(&w->loop, &c->timer);
	close(c->watch.fd);
	list_remove(&c->runnable);
	list_remove(&c->all);
	list_append(&w->spare, &c->all);
	w->conn_count--;
	if (w->draining && w->conn_count == 0)
		loop_stop(&w->loop);
}

static void conn_reset(struct conn *c)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};

	setsockopt(c->watch.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	conn_close(c);
}

/* ---- the states ---- */

/* The response is out. */
static enum step finish(struct conn *c)
{
	/* Nothing has been asked for since, and nothing may be. */
	c->close |= c->worker->draining && c->in_size == 0 && !c->readable;
	if (c->close && !c->fin) {
		shutdown(c->watch.fd, SHUT_WR);
		c->fin = true;
	}
	if (conn_counts_acks(c))
		return conn_await_acks(c);
	conn_leave_object(c);
	end_response(c, true);
	if (c->close) {
		if (!c->linger)
			return STEP_CLOSE;
		c->state = CONN_LINGER;
		conn_set_deadline(c, LINGER_TIMEOUT_NS);
		return STEP_GO_ON;
	}
	c->state = CONN_HEAD;
	conn_set_deadline(c, IDLE_TIMEOUT_NS);
	/* Nothing more to read: spares a recv(2) that says so. */
	return c->in_size > 0 || c->readable || c->hung_up ? STEP_GO_ON : STEP_WAIT;
}

/* ---- events ---- */

enum step conn_wait_turn(struct conn *c, struct list *queue)
{
	list_remove(&c->runnable);
	list_append(queue, &c->runnable);
	return STEP_WAIT;
}

void conn_run(struct conn *c)
{
	int64_t share = PACER_TURN_BYTES;
	int responses = 0;
	enum step step;

	do {
		switch (c->state) {
		case CONN_HEAD: step = conn_read(c); break;
		case CONN_RELOAD: step = conn_reload(c); break;
		case CONN_SEND: step = conn_send(c, &share); break;
		case CONN_ACK: step = conn_check_ack(c); break;
		default: step = conn_discard(c); break;
		}
		if (step == STEP_DONE)
			step = finish(c);
		if (step == STEP_GO_ON && c->state == CONN_HEAD && ++responses == TURN_RESPONSES)
			step = conn_wait_turn(c, &c->worker->runnable);
	} while (step == STEP_GO_ON);
	if (step == STEP_CLOSE)
		conn_close(c);
	else if (step == STEP_RESET)
		conn_reset(c);
}

/* Both sides have closed, or the connection is broken. */
static void conn_lost(struct conn *c, bool broken)
{
	/* A client that sends no more may have acknowledged all, or be reading the rest. */
	if (!broken && c->state == CONN_ACK)
		conn_run(c);
	else
		conn_close(c);
}

static void conn_ready(struct watch *watch, uint32_t events)
{
	struct conn *c = container_of(watch, struct conn, watch);

	if (events & (EPOLLERR | EPOLLHUP)) {
		conn_lost(c, (events & EPOLLERR) != 0);
		return;
	}
	c->readable |= (events & (EPOLLIN | EPOLLRDHUP)) != 0;
	c->writable |= (events & EPOLLOUT) != 0;
	c->hung_up |= (events & EPOLLRDHUP) != 0;
	conn_run(c);
}

void conn_wake_waiting(struct object *o)
{
	struct list *l;

	while ((l = list_first(&o->waiting)) != NULL) {
		struct conn *c = list_entry(l, struct conn, waiting);

		list_remove(l);
		if (list_empty(&c->runnable))
			list_append(&c->worker->runnable, &c->runnable);
	}
}

static void conn_expired(struct timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);
	struct worker *w = c->worker;

	if (c->deadline_ns > w->loop.now_ns) {
		if (c->deadline_ns != INT64_MAX)
			loop_timer_set(&w->loop, t, c->deadline_ns);
		return;
	}
	if (c->state == CONN_RELOAD) {
		conn_run(c);
		return;
	}
	if (c->state == CONN_HEAD && c->in_size > 0) {
		conn_set_deadline(c, CONN_SEND_TIMEOUT_NS); /* the answer's own */
		if (answer_unread(c, 408) == STEP_GO_ON)
			conn_run(c);
		else
			conn_close(c);
		return;
	}
	if ((c->state == CONN_SEND || c->state == CONN_ACK) && conn_progressed(c)) {
		conn_set_deadline(c, CONN_SEND_TIMEOUT_NS);
		return;
	}
	if (c->state == CONN_SEND) {
		w->counters.stalls++;
		if (c->object)
			c->object->site->stalls++;
		conn_reset(c);
	} else {
		conn_close(c);
	}
}

/* Of each in turn, which may close any. */
static void for_each_conn(struct worker *w, void (*visit)(struct conn *c))
{
	struct list round, *l;

	list_init(&round);
	list_move_all(&w->conns, &round);
	while ((l = list_first(&round)) != NULL) {
		list_remove(l);
		list_append(&w->conns, l);
		visit(list_entry(l, struct conn, all));
	}
}

static void drain_one(struct conn *c)
{
	if (c->state == CONN_HEAD && c->in_size == 0 && !c->readable)
		conn_close(c);
	else if (c->state == CONN_RELOAD)
		conn_run(c);
}

void conn_drain(struct worker *w)
{
	for_each_conn(w, drain_one);
}

void conn_abort_all(struct worker *w)
{
	for_each_conn(w, conn_reset);
}

void conn_fini(struct worker *w)
{
	conn_abort_all(w);
}
