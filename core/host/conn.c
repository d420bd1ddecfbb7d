/*
 * Theory of operation. A connection is in one of four states:
 *
 *	HEAD    reads until a request is there, then answers it
 *	SEND    sends the response; waits for room in the socket, or for a live object to grow
 *	ACK     has sent all; waits for the client's TCP to acknowledge it, where that releases
 *	LINGER  has refused something and sent all; reads and drops what the client still sends, as
 *	        closing with unread input would have TCP destroy the response on its way
 *
 * The socket is watched edge-triggered for both directions from accept(2) to close(2): one
 * epoll_ctl(2) in its life. `readable` and `writable` remember what the edges said until a call
 * says otherwise. What could go on but has had its share of the turn is `runnable`.
 *
 * Nothing is kept for a connection between requests but this struct. Input is read into the
 * worker's buffer; only a part of a request, or a pipelined next one, is saved in a buffer of its
 * own. Output goes from the worker's buffer to the socket; only what it would not take is saved.
 *
 * A response that cannot be finished as announced (its object was truncated, its writer died) ends
 * with a reset connection, so that no client takes the part for the whole.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/access_log.h"
#include "host/conn.h"

#define HEAD_TIMEOUT_NS	  (30 * NS_PER_S) /* from a request's first byte to its last */
#define IDLE_TIMEOUT_NS	  (75 * NS_PER_S) /* between requests */
#define SEND_TIMEOUT_NS	  (60 * NS_PER_S) /* without a byte taken */
#define LINGER_TIMEOUT_NS (5 * NS_PER_S)
#define ACK_POLL_NS	  (3 * NS_PER_MS)
#define RATE_TICK_NS	  (5 * NS_PER_MS)

/* A turn's share: enough that the turns cost nothing, little enough that the others wait for no
 * more than a millisecond or so. */
#define TURN_BYTES (2 * 1024 * 1024)

/* ---- life ---- */

static void free_pointer(char **p)
{
	free(*p);
	*p = NULL;
}

static void conn_ready(struct watch *watch, uint32_t events);
static void conn_expired(struct timer *t);
static void conn_check_acks(struct timer *t);
static void refill(struct timer *t);

void conn_init(struct worker *w)
{
	list_init(&w->conns);
	list_init(&w->runnable);
	list_init(&w->throttled);
	list_init(&w->acking);
	list_init(&w->spare);
	w->rate_timer.fire = refill;
	w->ack_timer.fire = conn_check_acks;
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
static void set_deadline(struct conn *c, int64_t after_ns)
{
	struct loop *loop = &c->worker->loop;

	c->deadline_ns = loop->now_ns + after_ns;
	if (!c->timer.slot || c->timer.at_ns > c->deadline_ns)
		loop_timer_set(loop, &c->timer, c->deadline_ns);
}

static void set_no_deadline(struct conn *c)
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
	set_deadline(c, HEAD_TIMEOUT_NS);
	survey_expect(w);
	loop_add(&w->loop, &c->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

/* How much of what was sent the client's TCP has not acknowledged; a FIN counts as one. */
static int64_t unacknowledged(const struct conn *c)
{
	int queued = 0;

	if (ioctl(c->watch.fd, SIOCOUTQ, &queued) < 0)
		return INT64_MAX;
	return queued;
}

/*
 * What is acknowledged of the object is at least what was sent of it, less all that is not
 * acknowledged: heads and chunk frames among that only make us give back later. True once it is
 * all that was sent.
 */
static bool note_acked(struct conn *c, bool now)
{
	struct object *o = c->object;
	const int64_t queued = unacknowledged(c);
	const bool all = queued <= (c->fin ? 1 : 0) && !c->out;

	o->given = release_acked(&c->worker->server->release, &c->reader, o->fd,
				 all ? c->at : c->at - queued, now);
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
	free(c->parts);
	c->parts = NULL;
	if (c->reader.holding)
		leave_readers(c);
	c->object = NULL;
	object_put(o, w->loop.now_ns);
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
}

static void conn_close(struct conn *c)
{
	struct worker *w = c->worker;

	end_response(c, false);
	conn_leave_object(c);
	free_pointer(&c->in);
	free_pointer(&c->out);
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

/* ---- sending bytes ---- */

static void count_sent(struct conn *c, ssize_t n)
{
	c->sent += (uint64_t)n;
	c->worker->counters.sent += (uint64_t)n;
	c->worker->allowance -= n;
	if (c->object) {
		c->object->site->sent += (uint64_t)n;
		c->object->site->allowance -= n;
	}
}

/* Keeps what the socket would not take, behind what is kept already. */
static int save_output(struct conn *c, const char *data, size_t size)
{
	char *grown = realloc(c->out, c->out_size + size);

	if (!grown)
		return -ENOMEM;
	memcpy(grown + c->out_size, data, size);
	c->out = grown;
	c->out_size += size;
	return 0;
}

int conn_put(struct conn *c, const char *data, size_t size, bool more)
{
	ssize_t n = 0;

	if (!c->out) {
		n = send(c->watch.fd, data, size, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0)
			n = 0;
	}
	count_sent(c, n);
	if ((size_t)n == size)
		return 0;
	c->writable = false;
	return save_output(c, data + n, size - (size_t)n);
}

ssize_t conn_put_pieces(struct conn *c, const struct iovec pieces[2])
{
	/* sendmsg(2) does not write to it. */
	const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
				       .msg_iovlen = 2};
	ssize_t n = sendmsg(c->watch.fd, &message, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (n < 0)
		n = 0;
	count_sent(c, n);
	if ((size_t)n < pieces[0].iov_len + pieces[1].iov_len)
		c->writable = false;
	if ((size_t)n < pieces[0].iov_len &&
	    save_output(c, (const char *)pieces[0].iov_base + n, pieces[0].iov_len - (size_t)n))
		return -ENOMEM;
	return n;
}

static enum step send_saved(struct conn *c)
{
	const bool more = c->object && c->at < c->end;
	ssize_t n = send(c->watch.fd, c->out + c->out_at, c->out_size - c->out_at,
			 MSG_NOSIGNAL | (more ? MSG_MORE : 0));

	if (n < 0) {
		c->writable = false;
		return errno == EAGAIN ? STEP_WAIT : STEP_CLOSE;
	}
	set_deadline(c, SEND_TIMEOUT_NS);
	count_sent(c, n);
	c->out_at += (size_t)n;
	if (c->out_at < c->out_size) {
		c->writable = false;
		return STEP_WAIT;
	}
	free_pointer(&c->out);
	c->out_at = c->out_size = 0;
	return STEP_GO_ON;
}

/* ---- HEAD ---- */

/* Reads what has come behind what was saved. The bytes in w->in; `more` if the socket has more. */
static enum step read_input(struct conn *c, size_t *size)
{
	struct worker *w = c->worker;
	size_t room;
	ssize_t n;

	if (c->in_size > 0)
		memcpy(w->in, c->in, c->in_size);
	*size = c->in_size;
	room = HTTP_HEAD_MAX - c->in_size;
	if (!c->readable || room == 0)
		return STEP_GO_ON;
	n = recv(c->watch.fd, w->in + c->in_size, room, 0);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return STEP_CLOSE;
	if (n == 0)
		c->hung_up = true;
	/* A short read has emptied the socket: what comes later is a new edge. */
	c->readable = n > 0 && ((size_t)n == room || c->hung_up);
	*size += n > 0 ? (size_t)n : 0;
	return STEP_GO_ON;
}

static int save_input(struct conn *c, const char *data, size_t size)
{
	c->in_size = size;
	if (size == 0) {
		free_pointer(&c->in);
		return 0;
	}
	if (!c->in)
		c->in = malloc(HTTP_HEAD_MAX);
	if (!c->in)
		return -ENOMEM;
	memcpy(c->in, data, size);
	return 0;
}

/* No whole request yet. */
static enum step wait_for_input(struct conn *c, size_t size)
{
	struct worker *w = c->worker;
	const bool fresh = c->in_size == 0;

	if (size == HTTP_HEAD_MAX)
		return answer_refuse(c, memchr(w->in, '\n', size) ? 431 : 414);
	if (c->hung_up || (size == 0 && w->draining))
		return STEP_CLOSE;
	if (save_input(c, w->in, size))
		return STEP_CLOSE;
	if (size > 0 && fresh)
		set_deadline(c, HEAD_TIMEOUT_NS);
	return STEP_WAIT;
}

/* Empty lines before a request are skipped, as old clients send them behind a body. */
static size_t skip_empty_lines(const char *in, size_t size)
{
	size_t at = 0;

	while (at < size &&
	       (in[at] == '\n' || (in[at] == '\r' && at + 1 < size && in[at + 1] == '\n')))
		at += in[at] == '\n' ? 1 : 2;
	return at;
}

static enum step read_request(struct conn *c)
{
	struct worker *w = c->worker;
	size_t size, at, head;
	enum step step = read_input(c, &size);
	int status;

	if (step != STEP_GO_ON)
		return step;
	at = c->scanned == 0 ? skip_empty_lines(w->in, size) : 0;
	if (at > 0)
		memmove(w->in, w->in + at, size -= at);
	head = http_head_size(w->in, size, &c->scanned);
	if (head == 0)
		return wait_for_input(c, size);
	c->scanned = 0;
	c->began_ns = w->loop.now_ns;
	status = http_request_parse(w->in, head, &w->request);
	if (w->server->logfd >= 0)
		c->log = access_log_begin(&w->request, &c->peer, w->server->options.log_json);
	if (status && status != 405)
		return answer_refuse(c, status);
	/* Before the answer, which may need w->in no more: the request points into it. */
	if (save_input(c, w->in + head, size - head))
		return STEP_CLOSE;
	set_deadline(c, SEND_TIMEOUT_NS);
	c->close |= w->request.close;
	if (status)
		return answer_plain(c, 405, "Allow: GET, HEAD\r\n", NULL);
	return answer_request(c, &w->request);
}

/* ---- SEND ---- */

/* The next chunk's frame, or the last one. */
static enum step begin_chunk(struct conn *c, bool last)
{
	char frame[32];
	struct text t = {.buf = frame, .room = sizeof(frame)};

	if (c->started)
		text_put(&t, "\r\n");
	c->started = true;
	c->chunk = last ? 0 : c->end - c->at;
	text_number(&t, (uint64_t)c->chunk, 16);
	text_put(&t, last ? "\r\n\r\n" : "\r\n");
	if (last)
		c->chunked = false;
	return conn_put(c, frame, t.size, !last) ? STEP_CLOSE : STEP_GO_ON;
}

/* All there is has been sent: wait for more, or find that there is none. */
static enum step at_edge(struct conn *c)
{
	struct object *o = c->object;

	if (o->broken)
		return STEP_RESET;
	if (c->open_ended && c->end < o->st.st_size) {
		c->end = o->st.st_size;
		return STEP_GO_ON;
	}
	if (c->open_ended && o->live) {
		if (list_empty(&c->waiting))
			list_append(&o->waiting, &c->waiting);
		set_no_deadline(c);
		return STEP_WAIT;
	}
	c->open_ended = false;
	return c->chunked ? begin_chunk(c, true) : STEP_GO_ON;
}

static bool in_huge_pages(const struct object *o)
{
	return o->st.st_blksize > sysconf(_SC_PAGESIZE);
}

static enum step send_body(struct conn *c, int64_t most, int64_t *share)
{
	const int64_t left = c->chunked ? c->chunk : c->end - c->at;
	const size_t size = (size_t)(left < most ? left : most);
	const bool copied = c->reader.holding && c->reader.flows && in_huge_pages(c->object);
	struct sender *sender = &c->worker->sender;
	const ssize_t n = copied ? sender_copy(sender, c->watch.fd, c->object, c->at, size)
				 : sender_send(sender, c->watch.fd, c->object, c->at, size);

	if (n == 0)
		return STEP_RESET; /* truncated */
	if (n < 0) {
		c->writable = false;
		return n == -EAGAIN || n == -EINTR ? STEP_WAIT : STEP_RESET;
	}
	store_round(&c->worker->store);
	set_deadline(c, SEND_TIMEOUT_NS);
	count_sent(c, n);
	c->at += n;
	if (c->chunked)
		c->chunk -= n;
	*share -= n;
	return STEP_GO_ON;
}

static enum step check_ack(struct conn *c);

void conn_expect_acks(struct conn *c)
{
	struct worker *w = c->worker;

	if (list_empty(&c->acking))
		list_append(&w->acking, &c->acking);
	if (!w->ack_timer.slot)
		loop_timer_set(&w->loop, &w->ack_timer, w->loop.now_ns + ACK_POLL_NS);
}

/* The response is out. */
static enum step finish(struct conn *c)
{
	if (c->close && !c->fin) {
		shutdown(c->watch.fd, SHUT_WR);
		c->fin = true;
	}
	if (c->object && c->reader.holding) {
		c->state = CONN_ACK;
		conn_expect_acks(c);
		return check_ack(c);
	}
	conn_leave_object(c);
	end_response(c, true);
	if (c->close) {
		if (!c->linger)
			return STEP_CLOSE;
		c->state = CONN_LINGER;
		set_deadline(c, LINGER_TIMEOUT_NS);
		return STEP_GO_ON;
	}
	c->state = CONN_HEAD;
	set_deadline(c, IDLE_TIMEOUT_NS);
	/* Nothing more to read: spares a recv(2) that says so. */
	return c->in_size > 0 || c->readable ? STEP_GO_ON : STEP_WAIT;
}

/* Bytes that may be sent now; 0: this turn's share is used up, or all that the rates allow. */
static int64_t may_send(struct conn *c, int64_t share)
{
	struct worker *w = c->worker;
	struct site *site = c->object->site;
	struct limits *limits = &w->server->limits;

	if (limits_total(limits) && w->allowance < share)
		share = w->allowance;
	if (limits_space(limits, (size_t)(site - w->sites.site)) && site->allowance < share)
		share = site->allowance;
	return share > 0 ? share : 0;
}

static enum step wait_for_turn(struct conn *c, int64_t share)
{
	struct worker *w = c->worker;

	if (!list_empty(&c->runnable))
		list_remove(&c->runnable);
	list_append(share > 0 ? &w->throttled : &w->runnable, &c->runnable);
	if (share > 0 && !w->rate_timer.slot)
		loop_timer_set(&w->loop, &w->rate_timer, w->loop.now_ns + RATE_TICK_NS);
	return STEP_WAIT;
}

static enum step send_response(struct conn *c, int64_t *share)
{
	if (!c->writable)
		return STEP_WAIT;
	if (c->out)
		return send_saved(c);
	if (!c->object)
		return finish(c);
	if (c->chunked ? c->chunk > 0 : c->at < c->end) {
		int64_t allowed = may_send(c, *share);

		return allowed > 0 ? send_body(c, allowed, share) : wait_for_turn(c, *share);
	}
	if (c->parts)
		return answer_next_part(c);
	if (c->chunked && c->at < c->end)
		return begin_chunk(c, false);
	if (c->open_ended || c->chunked)
		return at_edge(c);
	return finish(c);
}

/* ---- ACK ---- */

static enum step check_ack(struct conn *c)
{
	if (!note_acked(c, true) || c->state != CONN_ACK)
		return STEP_WAIT;
	conn_leave_object(c);
	c->state = CONN_SEND; /* finish() goes on from there */
	return STEP_GO_ON;
}

static void conn_run(struct conn *c);

static void conn_check_acks(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, ack_timer);
	struct list round, *l;

	list_init(&round);
	list_move_all(&w->acking, &round);
	while ((l = list_first(&round)) != NULL) {
		struct conn *c = list_entry(l, struct conn, acking);

		list_remove(l);
		list_append(&w->acking, l);
		switch (check_ack(c)) {
		case STEP_CLOSE: conn_close(c); break;
		case STEP_GO_ON: conn_run(c); break;
		default: break;
		}
	}
	if (!list_empty(&w->acking))
		loop_timer_set(&w->loop, t, w->loop.now_ns + ACK_POLL_NS);
}

/* ---- LINGER ---- */

static enum step discard_input(struct conn *c)
{
	struct worker *w = c->worker;

	while (c->readable) {
		ssize_t n = recv(c->watch.fd, w->in, sizeof(w->in), 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return STEP_CLOSE;
		c->readable = n > 0;
	}
	return STEP_WAIT;
}

/* ---- events ---- */

static void conn_run(struct conn *c)
{
	int64_t share = TURN_BYTES;
	enum step step;

	do {
		switch (c->state) {
		case CONN_HEAD: step = read_request(c); break;
		case CONN_SEND: step = send_response(c, &share); break;
		case CONN_ACK: step = check_ack(c); break;
		default: step = discard_input(c); break;
		}
	} while (step == STEP_GO_ON);
	if (step == STEP_CLOSE)
		conn_close(c);
	else if (step == STEP_RESET)
		conn_reset(c);
}

static void conn_ready(struct watch *watch, uint32_t events)
{
	struct conn *c = container_of(watch, struct conn, watch);

	if (events & (EPOLLERR | EPOLLHUP)) {
		conn_close(c);
		return;
	}
	c->readable |= (events & (EPOLLIN | EPOLLRDHUP)) != 0;
	c->writable |= (events & EPOLLOUT) != 0;
	c->hung_up |= (events & EPOLLRDHUP) != 0;
	conn_run(c);
}

/*
 * What a worker may send after `passed` more. No more than a few ticks' worth: a pause is no
 * credit, and what was sent while there was no limit is no debt.
 */
static int64_t refilled(const struct worker *w, int64_t allowance, uint64_t rate, int64_t passed_ns)
{
	const int64_t longest = 4 * RATE_TICK_NS,
		      share = (int64_t)(rate / w->server->options.workers);
	const int64_t most = share * longest / NS_PER_S + 1;

	if (allowance < -most)
		allowance = -most;
	allowance += share * (passed_ns < longest ? passed_ns : longest) / NS_PER_S;
	return allowance < most ? allowance : most;
}

static void refill(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, rate_timer);
	struct limits *limits = &w->server->limits;
	const int64_t passed = w->loop.now_ns - w->refilled_ns;

	w->refilled_ns = w->loop.now_ns;
	w->allowance = refilled(w, w->allowance, limits_total(limits), passed);
	for (size_t i = 0; i < w->sites.count; i++) {
		struct site *site = &w->sites.site[i];

		site->allowance = refilled(w, site->allowance, limits_space(limits, i), passed);
	}
	if (w->allowance > 0 || !limits_total(limits)) {
		list_move_all(&w->throttled, &w->runnable);
		loop_again(&w->loop);
	}
	if (!list_empty(&w->throttled))
		loop_timer_set(&w->loop, t, w->loop.now_ns + RATE_TICK_NS);
}

void conn_run_all(struct worker *w)
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
	if (c->state == CONN_HEAD && c->in_size > 0) {
		memset(&w->request, 0, offsetof(struct http_request, path));
		if (answer_refuse(c, 408) == STEP_GO_ON) {
			conn_run(c);
			return;
		}
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
	if (c->state == CONN_HEAD && c->in_size == 0)
		conn_close(c);
}

static void pace_one(struct conn *c)
{
	const uint64_t rate = c->worker->client_rate ? c->worker->client_rate : UINT64_MAX;

	if (!c->metrics)
		setsockopt(c->watch.fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate));
}

void conn_pace_all(struct worker *w)
{
	const uint64_t rate = limits_client(&w->server->limits);

	if (rate == w->client_rate)
		return;
	w->client_rate = rate;
	for_each_conn(w, pace_one);
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
