#include "host/push.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "host/follow.h"
#include "host/http_request.h"
#include "host/mime.h"
#include "host/object.h"
#include "host/push_http.h"
#include "host/push_queue.h"
#include "host/release.h"

#define CONNECT_NS   (10 * NS_PER_S)
#define STALL_NS     (60 * NS_PER_S)
#define RETRY_NS     (100 * NS_PER_MS)
#define RETRY_MAX_NS (30 * NS_PER_S)
#define ACK_POLL_NS  (3 * NS_PER_MS)
#define TURN_BYTES   (4 * 1024 * 1024)
#define PIECE_MAX    (1024 * 1024)

/* A file that was neither renamed nor closed while we looked, and is no live object, may still be
 * under its writer's hands: not before it has been left alone for so long. */
#define SETTLE_NS NS_PER_S

enum push_state {
	PUSH_IDLE,    /* nothing under way: the timer, or the queue, begins the next */
	PUSH_UNENDED, /* unix: for the object's end */
	PUSH_CONNECT,
	PUSH_SEND,
	PUSH_FINISH, /* all is sent: for the peer's word */
};

struct push {
	const struct push_options *options;
	struct loop loop;
	struct sites sites;
	struct site *site;
	struct store store;
	struct follow follow;
	struct release release;
	struct push_queue queue;
	struct watch peer; /* fd -1: not connected */
	struct timer timer, drain_timer;
	enum push_state state;
	bool draining, stirred;
	bool settling; /* the timer runs until the first of the queue may be taken */

	struct push_entry *entry;
	struct object *object;
	struct reader reader;
	int64_t at, end;     /* its bytes that are on their way */
	bool chunked, ended; /* ended: the last byte is out, and what follows it */
	bool reused;	     /* the connection has carried another object before */
	bool closed;	     /* by the peer, cleanly */
	int64_t queued;	     /* not acknowledged, when it was looked at */

	size_t in_size, scanned, out_at, out_size;
	char in[HTTP_HEAD_MAX + 1];
	char out[PUSH_HEAD_MAX];

	unsigned failures;    /* in a row */
	unsigned unreachable; /* of these, without a word of the peer */
	unsigned address;     /* of the target's, the next one */
	unsigned long delivered, given_up;
};

/* ---- the connection ---- */

static void hang_up(struct push *p)
{
	if (p->peer.fd < 0)
		return;
	loop_remove(&p->loop, &p->peer);
	close(p->peer.fd);
	p->peer.fd = -1;
	p->in_size = p->scanned = 0;
}

static void set_reset(int fd, bool on)
{
	const struct linger hard = {.l_onoff = on, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

static void set_deadline(struct push *p, int64_t after_ns)
{
	loop_timer_set(&p->loop, &p->timer, p->loop.now_ns + after_ns);
}

static void set_options(struct push *p, int fd)
{
	const struct push_options *o = p->options;
	const int on = 1;

	if (o->target.scheme == PUSH_UNIX)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (o->congestion)
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, o->congestion,
			   (socklen_t)strlen(o->congestion));
	if (o->rate > 0)
		setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &o->rate, sizeof(o->rate));
	if (o->target.scheme == PUSH_TCP)
		set_reset(fd, true);
}

static int dial(struct push *p)
{
	const struct push_target *t = &p->options->target;
	const union push_address *a = &t->address[p->address++ % t->addresses];
	const socklen_t size = a->any.sa_family == AF_INET    ? sizeof(a->in4)
			       : a->any.sa_family == AF_INET6 ? sizeof(a->in6)
							      : sizeof(a->un);
	cleanup_fd int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	set_options(p, fd);
	if (connect(fd, &a->any, size) < 0 && errno != EINPROGRESS)
		return -errno;
	p->peer.fd = STEAL_FD(fd);
	p->reused = p->closed = false;
	p->in_size = p->scanned = 0;
	return loop_add(&p->loop, &p->peer, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static int64_t unacknowledged(const struct push *p)
{
	int queued = 0;

	return ioctl(p->peer.fd, SIOCOUTQ, &queued) < 0 ? INT64_MAX : queued;
}

/* ---- the object ---- */

static bool written_since(const struct push *p)
{
	const struct object *o = p->object;
	struct stat now;

	return fstat(o->fd, &now) < 0 || now.st_size != o->st.st_size ||
	       now.st_mtim.tv_sec != o->st.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != o->st.st_mtim.tv_nsec;
}

static void leave_object(struct push *p, bool delivered)
{
	struct object *o = p->object;
	const struct release_name name = {
		.rootfd = site_root(p->site, p->loop.now_ns),
		.fd = o->fd,
		.path = o->path,
		.size = delivered && !written_since(p) ? o->st.st_size : -1,
	};

	p->object = NULL;
	p->queue.busy = NULL;
	if (p->reader.holding) {
		if (delivered)
			release_acked(&p->release, &p->reader, o->fd, o->st.st_size, false);
		if (release_leave(&p->release, &p->reader, &name))
			log_debug("released /%s/%s", p->site->name, o->path);
	}
	if (delivered)
		push_queue_delivered(&p->queue, p->entry, &o->st);
	p->entry = NULL;
	object_put(o, p->loop.now_ns);
}

static void rest(struct push *p)
{
	p->state = PUSH_IDLE;
	loop_timer_clear(&p->loop, &p->timer);
	if (p->draining)
		loop_stop(&p->loop);
}

/* Goes on with the next one, in a turn of its own. */
static void go_on(struct push *p)
{
	rest(p);
	p->stirred = true;
	loop_again(&p->loop);
}

static void succeed(struct push *p)
{
	log_debug("delivered /%s/%s", p->site->name, p->object->path);
	if (p->options->target.scheme != PUSH_HTTP)
		hang_up(p);
	leave_object(p, true);
	p->delivered++;
	p->failures = p->unreachable = 0;
	go_on(p);
}

/* There is nothing of that name that could be sent. */
static void drop(struct push *p, struct push_entry *entry, const char *why)
{
	if (why) {
		log_warn("/%s/%s: %s", p->site->name, entry->path, why);
		p->given_up++;
	}
	push_queue_forget(&p->queue, entry);
}

static void give_up(struct push *p, struct push_entry *entry)
{
	p->given_up++;
	push_queue_forget(&p->queue, entry);
	if (p->unreachable < PUSH_TRIES)
		return;
	while ((entry = push_queue_first(&p->queue)) != NULL) {
		p->given_up++;
		push_queue_forget(&p->queue, entry);
	}
}

static int64_t retry_delay(const struct push *p)
{
	int64_t delay = RETRY_NS;

	for (unsigned i = 1; i < p->failures && delay < RETRY_MAX_NS; i++)
		delay *= 2;
	return delay < RETRY_MAX_NS ? delay : RETRY_MAX_NS;
}

/* `answered`: it is about this object, the peer is there. */
static void fail(struct push *p, const char *why, bool answered)
{
	struct push_entry *entry = p->entry;
	int64_t delay;

	hang_up(p);
	p->failures++;
	p->unreachable = answered ? 0 : p->unreachable + 1;
	delay = retry_delay(p);
	log_warn("/%s/%s to %s: %s (failure %u in a row)", p->site->name, entry->path,
		 p->options->url, why, p->failures);
	if (p->object)
		leave_object(p, false);
	p->entry = NULL;
	rest(p);
	if (++entry->tries >= PUSH_TRIES && p->options->once)
		give_up(p, entry);
	else if (entry->tries >= PUSH_TRIES && answered)
		push_queue_behind(&p->queue, entry);
	set_deadline(p, delay);
}

/* ---- sending ---- */

/* A peer may close a connection that was kept in the moment it is used again. */
static bool was_stale(struct push *p)
{
	if (!p->reused || p->in_size > 0)
		return false;
	hang_up(p);
	leave_object(p, false);
	go_on(p);
	return true;
}

static void put(struct push *p, const char *text)
{
	struct text t = {p->out, p->out_size, sizeof(p->out), false};

	text_put(&t, text);
	p->out_size = t.size;
}

static void put_head(struct push *p)
{
	const struct push_target *t = &p->options->target;
	const struct push_put request = {
		.authority = t->authority,
		.prefix = t->path,
		.path = p->object->path,
		.type = p->object->type,
		.size = p->chunked ? -1 : p->end,
	};
	struct text text = {p->out, 0, sizeof(p->out), false};

	push_put_format(&request, &text);
	p->out_size = text.size;
}

static void begin_sending(struct push *p)
{
	struct object *o = p->object;
	const bool http = p->options->target.scheme == PUSH_HTTP;

	p->state = PUSH_SEND;
	p->chunked = http && o->live;
	p->end = o->live ? 0 : o->st.st_size;
	p->at = 0;
	p->ended = p->closed = false;
	p->queued = INT64_MAX;
	p->in_size = p->scanned = p->out_at = p->out_size = 0;
	if (http)
		put_head(p);
	set_deadline(p, STALL_NS);
}

/* What comes when all before is out: true if that is anything. */
static bool next_piece(struct push *p)
{
	const struct object *o = p->object;
	char head[24];

	if (p->ended || p->end == o->st.st_size) {
		if (p->ended || o->live)
			return false;
		p->ended = true;
		if (p->chunked)
			put(p, p->end > 0 ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
		return true;
	}
	snprintf(head, sizeof(head), "%s%llx\r\n", p->end > 0 ? "\r\n" : "",
		 (unsigned long long)(o->st.st_size - p->end));
	if (p->chunked)
		put(p, head);
	p->end = o->st.st_size;
	return true;
}

static ssize_t send_some(struct push *p)
{
	const int fd = p->peer.fd;
	const size_t left = (size_t)(p->end - p->at);
	off_t at = p->at;
	ssize_t n;

	if (p->out_at < p->out_size) {
		n = send(fd, p->out + p->out_at, p->out_size - p->out_at,
			 MSG_NOSIGNAL | (left > 0 ? MSG_MORE : 0));
		p->out_at += n > 0 ? (size_t)n : 0;
		if (p->out_at == p->out_size)
			p->out_at = p->out_size = 0;
		return n;
	}
	n = sendfile(fd, p->object->fd, &at, left < PIECE_MAX ? left : PIECE_MAX);
	p->at = at;
	return n;
}

static void finish(struct push *p)
{
	p->state = PUSH_FINISH;
	p->queued = INT64_MAX;
	set_deadline(p, STALL_NS);
	if (p->options->target.scheme == PUSH_HTTP)
		return;
	set_reset(p->peer.fd, false);
	shutdown(p->peer.fd, SHUT_WR);
}

static void send_all(struct push *p)
{
	const struct object *o = p->object;
	ssize_t n;

	for (int64_t sent = 0; sent < TURN_BYTES; sent += n) {
		n = 0;
		if (o->broken) {
			fail(p, "its writer has given up, or was killed", true);
			return;
		}
		if (p->out_at == p->out_size && p->at == p->end && !next_piece(p)) {
			if (!p->ended)
				loop_timer_clear(&p->loop, &p->timer); /* the writer's time */
			else if (written_since(p))
				fail(p, "it was written to while it was sent", true);
			else
				finish(p);
			return;
		}
		if (p->out_at == p->out_size && p->at == p->end)
			continue;
		n = send_some(p);
		if (n == 0) {
			fail(p, "it was truncated while it was sent", true);
			return;
		}
		if (n < 0 && errno == EAGAIN && p->timer.slot)
			return;
		if (n < 0 && errno != EAGAIN) {
			if (!was_stale(p))
				fail(p, strerror(errno), false);
			return;
		}
		set_deadline(p, STALL_NS);
		if (n < 0)
			return;
	}
	p->stirred = true;
	loop_again(&p->loop);
}

/* ---- the peer's word ---- */

static void take_reply(struct push *p, size_t head)
{
	struct push_reply r;
	char why[64];

	if (push_reply_parse(p->in, head, &r)) {
		fail(p, "not an HTTP reply", true);
		return;
	}
	if (r.status < 200) { /* an interim one */
		memmove(p->in, p->in + head, p->in_size - head);
		p->in_size -= head;
		p->scanned = 0;
		return;
	}
	if (r.status >= 300) {
		snprintf(why, sizeof(why), "refused with status %d", r.status);
		fail(p, why, true);
		return;
	}
	if (p->state != PUSH_FINISH) {
		fail(p, "answered before it had all", true);
		return;
	}
	/* What is not here at once is not waited for. */
	if (r.status == 204)
		r.length = 0;
	if (r.close || p->closed || r.length < 0 || p->in_size != head + (size_t)r.length)
		hang_up(p);
	p->reused = true;
	p->in_size = p->scanned = 0;
	succeed(p);
}

static void take_replies(struct push *p)
{
	while (p->object && p->in_size > 0) {
		const size_t head = http_head_size(p->in, p->in_size, &p->scanned);

		if (!head)
			break;
		take_reply(p, head);
	}
	if (p->object && p->in_size == HTTP_HEAD_MAX)
		fail(p, "not an HTTP reply", true);
}

/* All of it has arrived, and the peer has closed because of our FIN. */
static void take_close(struct push *p)
{
	const int64_t queued = unacknowledged(p);

	if (p->state != PUSH_FINISH)
		fail(p, "the peer closed before it had all", false);
	else if (p->options->target.scheme == PUSH_HTTP)
		fail(p, "the peer closed without a reply", false);
	else if (queued <= 1) /* a FIN counts as one */
		succeed(p);
	else
		set_deadline(p, ACK_POLL_NS);
}

static void read_all(struct push *p)
{
	const bool http = p->options->target.scheme == PUSH_HTTP;
	ssize_t n = 1;

	while (p->object && p->peer.fd >= 0 && !p->closed) {
		/* Of another peer nothing is expected, and what it says is not listened to. */
		n = recv(p->peer.fd, p->in + (http ? p->in_size : 0),
			 HTTP_HEAD_MAX - (http ? p->in_size : 0), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			if (!was_stale(p))
				fail(p, strerror(errno), false);
			return;
		}
		p->closed = n == 0;
		if (http && n > 0) {
			p->in_size += (size_t)n;
			take_replies(p);
		}
	}
	if (p->object && p->closed && !was_stale(p))
		take_close(p);
}

/* ---- the whole way ---- */

static bool is_settled(const struct push *p, int64_t *left_ns)
{
	const struct object *o = p->object;
	struct timespec now;
	int64_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = (now.tv_sec - o->st.st_mtim.tv_sec) * NS_PER_S + now.tv_nsec - o->st.st_mtim.tv_nsec;
	*left_ns = SETTLE_NS - age;
	return p->entry->whole || o->live || age < 0 || age >= SETTLE_NS;
}

static int join(struct push *p)
{
	static const struct peer peer = {{0}};

	if (p->object->given > 0)
		return -ENODATA;
	return p->options->release
		       ? release_join(&p->release, &p->reader, p->object->fd, false, 0, &peer)
		       : 0;
}

/* Opens the first that can be; false: none is to be sent now. */
static bool open_next(struct push *p)
{
	struct push_entry *entry;
	int err;

	while ((entry = push_queue_first(&p->queue)) != NULL) {
		int64_t left_ns;

		err = store_get(&p->store, p->site, entry->path, p->loop.now_ns, &p->object);
		if (err) {
			drop(p, entry,
			     err == -EMFILE || err == -ENOMEM || err == -EACCES ? strerror(-err)
										: NULL);
			continue;
		}
		p->entry = p->queue.busy = entry;
		if (!is_settled(p, &left_ns)) {
			leave_object(p, false);
			p->settling = true;
			set_deadline(p, left_ns + NS_PER_MS);
			return false;
		}
		err = join(p);
		if (!err)
			return true;
		leave_object(p, false);
		drop(p, entry,
		     err == -ENODATA  ? "its first part has been given back: it cannot be pushed"
		     : err == -ENOENT ? NULL
				      : strerror(-err));
	}
	return false;
}

static void connect_or_send(struct push *p)
{
	int err;

	if (p->options->target.scheme == PUSH_UNIX && p->object->live) {
		p->state = PUSH_UNENDED;
		loop_timer_clear(&p->loop, &p->timer);
		return;
	}
	if (p->peer.fd >= 0) {
		begin_sending(p);
		return;
	}
	err = dial(p);
	if (err) {
		fail(p, strerror(-err), false);
		return;
	}
	p->state = PUSH_CONNECT;
	set_deadline(p, CONNECT_NS);
}

static void begin(struct push *p)
{
	if (p->loop.stopped || (p->timer.slot && !p->settling))
		return; /* it is to wait */
	p->settling = false;
	loop_timer_clear(&p->loop, &p->timer);
	if (open_next(p)) {
		connect_or_send(p);
		return;
	}
	if (push_queue_first(&p->queue))
		return;
	site_close(p->site);
	if (p->options->once)
		loop_stop(&p->loop);
}

static void check_unended(struct push *p)
{
	if (p->object->broken)
		fail(p, "its writer has given up, or was killed", true);
	else if (!p->object->live)
		connect_or_send(p);
}

static void check_connected(struct push *p)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(int), peer_size = sizeof(peer);
	int err = 0;

	getsockopt(p->peer.fd, SOL_SOCKET, SO_ERROR, &err, &size);
	if (err)
		fail(p, strerror(err), false);
	else if (getpeername(p->peer.fd, (struct sockaddr *)&peer, &peer_size) == 0)
		begin_sending(p);
}

/* Does what can be done now, whatever woke us. */
static void proceed(struct push *p)
{
	if (p->state == PUSH_IDLE)
		begin(p);
	if (p->state == PUSH_UNENDED)
		check_unended(p);
	if (p->state == PUSH_CONNECT)
		check_connected(p);
	if (p->state == PUSH_SEND || p->state == PUSH_FINISH)
		read_all(p);
	if (p->state == PUSH_SEND)
		send_all(p);
	if (p->state == PUSH_FINISH)
		read_all(p);
}

static void peer_ready(struct watch *w, uint32_t events)
{
	struct push *p = container_of(w, struct push, peer);

	if (p->state == PUSH_IDLE && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		hang_up(p); /* the one that was kept */
	else
		proceed(p);
}

/* In the states that wait for the peer: it has taken too long, unless its TCP has taken some. */
static void expired(struct timer *t)
{
	struct push *p = container_of(t, struct push, timer);
	const bool waits = p->state == PUSH_SEND || p->state == PUSH_FINISH;
	const int64_t queued = waits ? unacknowledged(p) : 0;

	if (p->state == PUSH_IDLE) {
		proceed(p);
		return;
	}
	if (p->closed) {
		take_close(p);
		return;
	}
	if (waits && queued < p->queued && p->options->target.scheme != PUSH_UNIX) {
		p->queued = queued;
		set_deadline(p, STALL_NS);
		return;
	}
	fail(p, strerror(ETIMEDOUT), false);
}

/* ---- start and stop ---- */

static void drain_late(struct timer *t)
{
	struct push *p = container_of(t, struct push, drain_timer);

	log_warn("/%s/%s broken off: not delivered in time", p->site->name, p->entry->path);
	loop_stop(&p->loop);
}

static void on_signal(struct loop *loop, int signo)
{
	struct push *p = container_of(loop, struct push, loop);

	log_debug("%s: draining", strsignal(signo));
	notify_state("STOPPING=1");
	p->draining = true;
	if (!p->object)
		loop_stop(loop);
	else
		loop_timer_set(loop, &p->drain_timer, loop->now_ns + p->options->drain_ns);
}

static void after_batch(struct loop *loop)
{
	struct push *p = container_of(loop, struct push, loop);
	const bool stirred = p->stirred;

	p->stirred = false;
	if (stirred)
		proceed(p);
}

static void queue_grew(struct push_queue *q)
{
	container_of(q, struct push, queue)->stirred = true;
}

static void follow_object(struct object *o)
{
	follow_begin(&container_of(o->store, struct push, store)->follow, o);
}

static void unfollow_object(struct object *o)
{
	follow_end(&container_of(o->store, struct push, store)->follow, o);
}

static void object_changed(struct object *o)
{
	struct push *p = container_of(o->store, struct push, store);

	p->stirred = true;
	loop_again(&p->loop);
}

static int give_up_rights(const struct push *p, struct mn_error *e)
{
	const struct push_options *o = p->options;
	const struct sandbox_path path = {
		.dir = p->site->space ? o->runtime_dir : p->site->dir,
		.write = o->release,
	};
	const bool local = o->target.scheme == PUSH_UNIX;
	int err = sandbox_rights(o->user, e);

	if (p->site->space)
		mkdir(o->runtime_dir, 0755);
	if (!err)
		err = sandbox_paths(&path, 1, o->target.port, e);
	return err ? err : sandbox_calls(local ? DIAL_UNIX : DIAL_TCP, e);
}

static int init(struct push *p, const char *glob, struct mn_error *e)
{
	static const int signals[] = {SIGTERM, SIGINT, 0};
	const struct push_options *o = p->options;
	int err = loop_init(&p->loop);

	if (!err)
		err = release_init(&p->release, o->release);
	if (!err)
		err = store_init(&p->store, false, o->release);
	if (!err)
		err = follow_init(&p->follow, &p->loop, &p->store, &p->sites);
	if (!err)
		err = push_queue_init(&p->queue, &p->loop, p->site, glob, queue_grew, !o->once);
	if (!err)
		err = loop_signals(&p->loop, signals, on_signal);
	if (err)
		return mn_fail_errno(e, -err, "push");
	p->peer = (struct watch){-1, peer_ready};
	p->timer.fire = expired;
	p->drain_timer.fire = drain_late;
	p->store.follow = follow_object;
	p->store.unfollow = unfollow_object;
	p->store.changed = object_changed;
	p->loop.after = after_batch;
	err = give_up_rights(p, e);
	if (err)
		return err;
	if (o->once && site_root(p->site, p->loop.now_ns) < 0)
		return mn_fail(e, MN_ABSENT, ENOENT,
			       "%s: no such space (without --once, it is "
			       "waited for)",
			       p->site->name);
	push_queue_start(&p->queue);
	return 0;
}

static void fini(struct push *p)
{
	hang_up(p);
	if (p->object)
		leave_object(p, false);
	push_queue_fini(&p->queue);
	store_fini(&p->store);
	follow_fini(&p->follow);
	release_fini(&p->release);
	loop_fini(&p->loop);
}

static int outcome(const struct push *p, struct mn_error *e)
{
	if (!p->options->once || p->given_up == 0)
		return 0;
	return mn_fail(e, p->delivered > 0 ? MN_PARTIAL : MN_FAILED, EIO,
		       "%s: %lu objects not delivered, %lu delivered", p->options->url, p->given_up,
		       p->delivered);
}

/* "VM/SPACE/GLOB": the part before the second '/' is the site's, unless it is a folder's name. */
static int add_source(struct push *p, const char *source, const char **glob, struct mn_error *e)
{
	cleanup_free char *name = strdup(source);
	char *slash = name && *name != '/' && *name != '.' ? strchr(name, '/') : NULL;
	int err;

	*glob = NULL;
	if (!name)
		return -ENOMEM;
	slash = slash ? strchr(slash + 1, '/') : NULL;
	if (slash) {
		*slash = '\0';
		*glob = slash[1] ? source + (slash + 1 - name) : NULL;
	}
	err = sites_add(&p->sites, name, p->options->runtime_dir, e);
	p->site = p->sites.site;
	return err;
}

int push_run(const struct push_options *options, struct mn_error *e)
{
	struct push *p = calloc(1, sizeof(*p));
	const char *glob;
	int err;

	if (!p)
		return mn_fail_errno(e, ENOMEM, "push");
	p->options = options;
	p->peer.fd = -1;
	mime_load("/etc/mime.types");
	err = add_source(p, options->source, &glob, e);
	if (!err) {
		err = init(p, glob, e);
		if (!err) {
			log_info("pushing %s to %s", options->source, options->url);
			notify_state("READY=1");
			p->stirred = true;
			loop_again(&p->loop);
			err = loop_run(&p->loop);
			err = err ? mn_fail_errno(e, -err, "event loop") : outcome(p, e);
		}
		fini(p);
	}
	sites_fini(&p->sites);
	free(p);
	return err;
}
