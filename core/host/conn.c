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
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/text.h"
#include "host/worker.h"

#define HEAD_TIMEOUT_NS	  (30 * NS_PER_S) /* from a request's first byte to its last */
#define IDLE_TIMEOUT_NS	  (75 * NS_PER_S) /* between requests */
#define SEND_TIMEOUT_NS	  (60 * NS_PER_S) /* without a byte taken */
#define LINGER_TIMEOUT_NS (5 * NS_PER_S)
#define ACK_POLL_NS	  (3 * NS_PER_MS)

/* A turn's share: enough that the turns cost nothing, little enough that the others wait for no
 * more than a millisecond or so. */
#define TURN_BYTES (2 * 1024 * 1024)

enum conn_state { CONN_HEAD, CONN_SEND, CONN_ACK, CONN_LINGER };

/* What a step left the connection in. */
enum step { STEP_GO_ON, STEP_WAIT, STEP_CLOSE, STEP_RESET };

struct conn {
	struct watch watch;
	struct timer timer; /* fires at or before `deadline_ns` */
	int64_t deadline_ns;
	struct worker *worker;
	struct list all, runnable, waiting, acking;
	struct peer peer;

	enum conn_state state;
	bool readable, writable, hung_up; /* hung_up: the client will send no more */
	bool close;			  /* after this response */
	bool linger;			  /* … having refused what may still come */
	bool chunked;
	bool fin; /* we have sent ours */

	char *in; /* saved input: HTTP_HEAD_MAX bytes, or NULL */
	size_t in_size, scanned;
	char *out; /* saved output, or NULL */
	size_t out_at, out_size;

	struct object *object; /* being sent */
	int64_t at, end;       /* its bytes still to go; live: as far as it has grown */
	int64_t chunk;	       /* of these, announced in the chunk under way */
	bool started;	       /* a chunk has been sent before */
	bool open_ended;       /* goes on to the end, wherever that will be */
	struct reader reader;
	int status;
};

/* ---- life ---- */

static void conn_ready(struct watch *watch, uint32_t events);
static void conn_expired(struct timer *t);
static void conn_check_acks(struct timer *t);

void conn_init(struct worker *w)
{
	list_init(&w->conns);
	list_init(&w->runnable);
	list_init(&w->acking);
	list_init(&w->spare);
	w->ack_timer.fire = conn_check_acks;
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

void conn_accept(struct worker *w, int fd, const struct sockaddr_storage *peer)
{
	struct conn *c = conn_new(w);

	if (!c) {
		close(fd);
		return;
	}
	*c = (struct conn){.watch = {fd, conn_ready}, .worker = w, .peer = peer_of(peer)};
	c->timer.fire = conn_expired;
	list_init(&c->all);
	list_init(&c->runnable);
	list_init(&c->waiting);
	list_init(&c->acking);
	list_append(&w->conns, &c->all);
	w->conn_count++;
	set_deadline(c, HEAD_TIMEOUT_NS);
	loop_add(&w->loop, &c->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static void free_pointer(char **p)
{
	free(*p);
	*p = NULL;
}

/* Ends this response's hold on its object. `size` is -1 unless the object is complete. */
static void leave_object(struct conn *c)
{
	struct worker *w = c->worker;
	struct object *o = c->object;

	if (!o)
		return;
	list_remove(&c->waiting);
	list_remove(&c->acking);
	if (c->reader.holding) {
		const struct release_name name = {
			.rootfd = site_root(o->site, w->loop.now_ns),
			.fd = o->fd,
			.path = o->path,
			.size = o->live || o->broken ? -1 : o->st.st_size,
		};

		if (release_leave(&w->server->release, &c->reader, &name)) {
			log_debug("released /%s/%s", o->site->name, o->path);
			object_forget(o);
		}
	}
	c->object = NULL;
	object_put(o, w->loop.now_ns);
}

static void conn_close(struct conn *c)
{
	struct worker *w = c->worker;

	leave_object(c);
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

/* Sends, and saves the rest. `more`: a body follows at once. 0, or -errno when all is lost. */
static int put(struct conn *c, const char *data, size_t size, bool more)
{
	ssize_t n = 0;

	if (!c->out) {
		n = send(c->watch.fd, data, size, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0)
			n = 0;
	}
	if ((size_t)n == size)
		return 0;
	c->writable = false;
	return save_output(c, data + n, size - (size_t)n);
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
	c->out_at += (size_t)n;
	if (c->out_at < c->out_size) {
		c->writable = false;
		return STEP_WAIT;
	}
	free_pointer(&c->out);
	c->out_at = c->out_size = 0;
	return STEP_GO_ON;
}

/* ---- responses ---- */

static const char *reason_of(int status)
{
	switch (status) {
	case 200: return "OK";
	case 206: return "Partial Content";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 410: return "Gone";
	case 412: return "Precondition Failed";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 416: return "Range Not Satisfiable";
	case 431: return "Request Header Fields Too Large";
	case 501: return "Not Implemented";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	default: return "Internal Server Error";
	}
}

static const char *date_now(struct worker *w)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != w->date_s) {
		w->date_s = now.tv_sec;
		http_date_format(now.tv_sec, w->date);
	}
	return w->date;
}

/* The head's beginning; end_head() completes it. */
static struct text begin_head(struct conn *c, int status)
{
	struct worker *w = c->worker;
	struct text t = {.buf = w->out, .room = RESPONSE_HEAD_MAX};

	c->status = status;
	text_put(&t, "HTTP/1.1 ");
	text_decimal(&t, status);
	text_put(&t, " ");
	text_put(&t, reason_of(status));
	text_put(&t, "\r\nServer: memnet\r\nDate: ");
	text_put(&t, date_now(w));
	text_put(&t, "\r\n");
	return t;
}

static void end_head(struct conn *c, struct text *t)
{
	if (c->close)
		text_put(t, "Connection: close\r\n");
	else if (c->worker->request.minor == 0)
		text_put(t, "Connection: keep-alive\r\n");
	text_put(t, "\r\n");
}

static void field(struct text *t, const char *name, int64_t value)
{
	text_put(t, name);
	text_decimal(t, value);
	text_put(t, "\r\n");
}

/* Answers without an object, with a line of text that says why. */
static enum step answer(struct conn *c, int status, const char *fields, const char *why)
{
	struct text t, body;
	char line[256];

	c->close |= c->worker->draining;
	t = begin_head(c, status);
	body = (struct text){.buf = line, .room = sizeof(line)};
	text_decimal(&body, status);
	text_put(&body, " ");
	text_put(&body, why ? why : reason_of(status));
	text_put(&body, "\n");
	text_put(&t, fields);
	if (status != 304) {
		text_put(&t, "Content-Type: text/plain; charset=utf-8\r\n");
		field(&t, "Content-Length: ", (int64_t)body.size);
	}
	end_head(c, &t);
	if (status != 304 && c->worker->request.method != HTTP_HEAD)
		text_data(&t, line, body.size);
	c->state = CONN_SEND;
	return put(c, t.buf, t.size, false) ? STEP_CLOSE : STEP_GO_ON;
}

/* Answers what could not be understood: nothing that follows can be, either. */
static enum step refuse(struct conn *c, int status)
{
	c->close = true;
	c->linger = true;
	return answer(c, status, "", NULL);
}

/*
 * The entity tag: which file it is, when it was written, how long it is. Room for 64 bytes. Giving
 * back changes a file's times but not the bytes that can still be had: no tag then, and none for
 * what still grows.
 */
static bool entity_tag(const struct object *o, struct text *t)
{
	if (o->live || o->given > 0)
		return false;
	text_put(t, "\"");
	text_number(t, o->st.st_ino, 16);
	text_put(t, "-");
	text_number(t,
		    (uint64_t)o->st.st_mtim.tv_sec * 1000000000U + (uint64_t)o->st.st_mtim.tv_nsec,
		    16);
	text_put(t, "-");
	text_number(t, (uint64_t)o->st.st_size, 16);
	text_put(t, "\"");
	return true;
}

static bool list_has_tag(struct http_text list, const struct text *tag, bool weak)
{
	const char *end = list.at + list.size;

	if (list.size == 1 && *list.at == '*')
		return true;
	for (const char *p = list.at; p && p + tag->size <= end; p++) {
		p = memmem(p, (size_t)(end - p), tag->buf, tag->size);
		if (!p)
			return false;
		if (weak || p < list.at + 2 || p[-1] != '/')
			return true;
	}
	return false;
}

/* RFC 9110, 13.2.2: 0 to go on, or 304 or 412. */
static int preconditions(const struct http_request *r, const struct object *o)
{
	char buf[64];
	struct text tag = {.buf = buf, .room = sizeof(buf)};
	const bool tagged = entity_tag(o, &tag);
	const int64_t changed = o->st.st_mtim.tv_sec;

	if (r->if_match.at) {
		if (!tagged || !list_has_tag(r->if_match, &tag, false))
			return 412;
	} else if (r->if_unmodified_since.at) {
		const int64_t then = http_date_parse(r->if_unmodified_since);

		if (then >= 0 && changed > then)
			return 412;
	}
	if (r->if_none_match.at)
		return tagged && list_has_tag(r->if_none_match, &tag, true) ? 304 : 0;
	if (r->if_modified_since.at && tagged && changed <= http_date_parse(r->if_modified_since))
		return 304;
	return 0;
}

/* Whether the Range field counts: If-Range names the object as it is now, or is not there. */
static bool range_counts(const struct http_request *r, const struct object *o)
{
	char buf[64];
	struct text tag = {.buf = buf, .room = sizeof(buf)};

	if (!r->range.at || !r->if_range.at)
		return r->range.at != NULL;
	if (!entity_tag(o, &tag))
		return false;
	if (r->if_range.size > 0 && r->if_range.at[0] == '"')
		return r->if_range.size == tag.size &&
		       memcmp(r->if_range.at, tag.buf, tag.size) == 0;
	return http_date_parse(r->if_range) == o->st.st_mtim.tv_sec;
}

static void put_validators(struct text *t, const struct object *o)
{
	char date[HTTP_DATE_MAX];

	if (o->live)
		return;
	http_date_format(o->st.st_mtim.tv_sec < 0 ? 0 : o->st.st_mtim.tv_sec, date);
	text_put(t, "Last-Modified: ");
	text_put(t, date);
	text_put(t, "\r\n");
	if (o->given > 0)
		return;
	text_put(t, "ETag: ");
	entity_tag(o, t);
	text_put(t, "\r\n");
}

static bool is_playlist(const struct object *o)
{
	return strcmp(o->type, "application/vnd.apple.mpegurl") == 0 ||
	       strcmp(o->type, "application/dash+xml") == 0;
}

static void put_content_range(struct text *t, const struct conn *c, int64_t last)
{
	text_put(t, "Content-Range: bytes ");
	text_decimal(t, c->at);
	text_put(t, "-");
	text_decimal(t, last);
	text_put(t, "/");
	if (c->object->live)
		text_put(t, "*");
	else
		text_decimal(t, c->object->st.st_size);
	text_put(t, "\r\n");
}

static void put_object_head(struct conn *c, struct text *t, int status)
{
	struct object *o = c->object;

	text_put(t, "Content-Type: ");
	text_put(t, o->type);
	text_put(t, "\r\n");
	if (status == 206)
		put_content_range(t, c, c->open_ended ? RANGE_FOREVER : c->end - 1);
	if (!c->open_ended)
		field(t, "Content-Length: ", c->end - c->at);
	else if (c->chunked)
		text_put(t, "Transfer-Encoding: chunked\r\n");
	put_validators(t, o);
	text_put(t, "Accept-Ranges: bytes\r\n");
	if (o->live || is_playlist(o))
		text_put(t, "Cache-Control: no-cache\r\n");
}

/*
 * Sends a small object's bytes along with its head: one send(2) for both, and a copy that is
 * cheaper than sendfile(2)'s pipe for a few pages.
 */
static enum step send_small(struct conn *c, struct text *head)
{
	const size_t size = (size_t)(c->end - c->at);
	ssize_t n = pread(c->object->fd, head->buf + head->size, size, c->at);

	if (n != (ssize_t)size)
		return STEP_RESET; /* truncated since we looked; nothing has been promised yet */
	c->at = c->end;
	return put(c, head->buf, head->size + size, false) ? STEP_CLOSE : STEP_GO_ON;
}

static enum step send_object_head(struct conn *c, int status)
{
	const bool head_only = c->worker->request.method == HTTP_HEAD;
	struct text t;

	c->close |= c->worker->draining;
	c->chunked = c->open_ended && c->worker->request.minor > 0;
	c->close |= c->open_ended && !c->chunked;
	t = begin_head(c, status);
	put_object_head(c, &t, status);
	end_head(c, &t);
	if (t.cut)
		return STEP_RESET;
	c->state = CONN_SEND;
	c->started = false;
	c->chunk = 0;
	if (head_only)
		leave_object(c);
	else if (!c->open_ended && c->end - c->at <= SMALL_OBJECT_MAX)
		return send_small(c, &t);
	return put(c, t.buf, t.size, !head_only) ? STEP_CLOSE : STEP_GO_ON;
}

static enum step answer_gone(struct conn *c, int64_t given)
{
	char fields[64], why[128];

	snprintf(fields, sizeof(fields), "Cache-Control: no-store\r\n");
	snprintf(why, sizeof(why),
		 "Gone: bytes 0 to %lld were delivered and given back; ask for bytes=%lld-",
		 (long long)given - 1, (long long)given);
	return answer(c, 410, fields, why);
}

static enum step answer_no_range(struct conn *c, int64_t size)
{
	char fields[64];

	snprintf(fields, sizeof(fields), "Content-Range: bytes */%lld\r\n", (long long)size);
	return answer(c, 416, fields, NULL);
}

/* Which bytes: sets at, end, open_ended. 200, 206 or 416. */
static int choose_range(struct conn *c, const struct http_request *r)
{
	struct object *o = c->object;
	struct byte_range ranges[RANGES_MAX];
	int n = range_counts(r, o) ? http_range_parse(r->range, o->st.st_size, o->live, ranges) : 0;

	c->at = 0;
	c->end = o->st.st_size;
	c->open_ended = o->live;
	if (n < 0)
		return 416;
	if (n != 1) /* several: the whole is a permitted answer */
		return 200;
	c->at = ranges[0].first;
	c->open_ended = ranges[0].last == RANGE_FOREVER;
	c->end = c->open_ended ? o->st.st_size : ranges[0].last + 1;
	return 206;
}

/* Takes part in the object's release. 0, or the status to answer with. */
static int join_readers(struct conn *c)
{
	struct worker *w = c->worker;
	struct object *o = c->object;
	int err;

	if (w->server->options.release == RELEASE_NEVER || w->request.method == HTTP_HEAD)
		return 0;
	err = release_join(&w->server->release, &c->reader, o->fd, o->live, c->at, &c->peer);
	if (err == -ENODATA) {
		o->given = release_given(o->fd, &o->st, true);
		return 410;
	}
	return err == -ENOENT ? 404 : err ? 503 : 0;
}

/* Looks after acknowledgements at once, and by the timer. */
static void expect_acks(struct conn *c)
{
	struct worker *w = c->worker;

	if (list_empty(&c->acking))
		list_append(&w->acking, &c->acking);
	if (!w->ack_timer.slot)
		loop_timer_set(&w->loop, &w->ack_timer, w->loop.now_ns + ACK_POLL_NS);
}

static enum step answer_object(struct conn *c, const struct http_request *r)
{
	struct object *o = c->object;
	int status = preconditions(r, o);

	if (status == 304) {
		char fields[160];
		struct text t = {.buf = fields, .room = sizeof(fields) - 1};

		put_validators(&t, o);
		fields[t.size] = '\0';
		return answer(c, 304, fields, NULL);
	}
	if (status == 412)
		return answer(c, 412, "", NULL);
	status = choose_range(c, r);
	if (status == 416)
		return answer_no_range(c, o->st.st_size);
	if (c->at < o->given)
		return answer_gone(c, o->given);
	switch (join_readers(c)) {
	case 0: break;
	case 404: return answer(c, 404, "", NULL);
	case 410: return answer_gone(c, o->given);
	default: return answer(c, 503, "", NULL);
	}
	if (c->reader.holding && (o->live || o->given > 0))
		expect_acks(c);
	return send_object_head(c, status);
}

static int status_of(int err)
{
	switch (err) {
	case -EACCES:
	case -EPERM: return 403;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM: return 503;
	case -EIO: return 500;
	default: return 404;
	}
}

static enum step answer_request(struct conn *c, const struct http_request *r)
{
	struct worker *w = c->worker;
	const char *path;
	struct site *site;
	int err;

	c->close |= r->close;
	if (r->method == HTTP_OPTIONS)
		return answer(c, 405, "Allow: GET, HEAD\r\n", NULL);
	/* A decoded NUL is refused by the parser, so that the path is all there is. */
	site = sites_find(&w->sites, r->path, &path);
	if (!site)
		return answer(c, 404, "", NULL);
	err = store_get(&w->store, site, path, w->loop.now_ns, &c->object);
	if (err)
		return answer(c, status_of(err), "", NULL);
	if (!w->store.idle.next || !w->expire_timer.slot)
		loop_timer_set(&w->loop, &w->expire_timer, w->loop.now_ns + OBJECT_IDLE_NS);
	return answer_object(c, r);
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
		return refuse(c, memchr(w->in, '\n', size) ? 431 : 414);
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
	status = http_request_parse(w->in, head, &w->request);
	if (status && status != 405)
		return refuse(c, status);
	/* Before the answer, which may need w->in no more: the request points into it. */
	if (save_input(c, w->in + head, size - head))
		return STEP_CLOSE;
	set_deadline(c, SEND_TIMEOUT_NS);
	if (status)
		return answer(c, 405, "Allow: GET, HEAD\r\n", NULL);
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
	return put(c, frame, t.size, !last) ? STEP_CLOSE : STEP_GO_ON;
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

static enum step send_body(struct conn *c, int64_t *share)
{
	const int64_t left = c->chunked ? c->chunk : c->end - c->at;
	off_t at = c->at;
	ssize_t n;

	n = sendfile(c->watch.fd, c->object->fd, &at, (size_t)(left < *share ? left : *share));
	if (n == 0)
		return STEP_RESET; /* truncated */
	if (n < 0) {
		c->writable = false;
		return errno == EAGAIN || errno == EINTR ? STEP_WAIT : STEP_RESET;
	}
	set_deadline(c, SEND_TIMEOUT_NS);
	c->at += n;
	if (c->chunked)
		c->chunk -= n;
	*share -= n;
	return STEP_GO_ON;
}

static enum step check_ack(struct conn *c, bool now);

/* The response is out. */
static enum step finish(struct conn *c)
{
	if (c->close && !c->fin) {
		shutdown(c->watch.fd, SHUT_WR);
		c->fin = true;
	}
	if (c->object && c->reader.holding) {
		c->state = CONN_ACK;
		expect_acks(c);
		return check_ack(c, true);
	}
	leave_object(c);
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

static enum step send_response(struct conn *c, int64_t *share)
{
	if (!c->writable)
		return STEP_WAIT;
	if (c->out)
		return send_saved(c);
	if (c->object && (c->chunked ? c->chunk > 0 : c->at < c->end)) {
		if (*share > 0)
			return send_body(c, share);
		if (list_empty(&c->runnable))
			list_append(&c->worker->runnable, &c->runnable);
		return STEP_WAIT;
	}
	if (c->object && c->chunked && c->at < c->end)
		return begin_chunk(c, false);
	if (c->object && (c->open_ended || c->chunked))
		return at_edge(c);
	return finish(c);
}

/* ---- ACK ---- */

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
 * acknowledged: heads and chunk frames among that only make us give back later.
 */
static enum step check_ack(struct conn *c, bool now)
{
	struct worker *w = c->worker;
	struct object *o = c->object;
	int64_t queued = unacknowledged(c), acked;
	const bool all = queued <= (c->fin ? 1 : 0) && !c->out;

	if (queued == INT64_MAX)
		return STEP_CLOSE;
	acked = all ? c->at : c->at - queued;
	o->given = release_acked(&w->server->release, &c->reader, o->fd, acked, now);
	if (c->state != CONN_ACK || !all)
		return STEP_WAIT;
	leave_object(c);
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
		switch (check_ack(c, true)) {
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
		case CONN_ACK: step = check_ack(c, true); break;
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
		if (refuse(c, 408) == STEP_GO_ON) {
			conn_run(c);
			return;
		}
	}
	if (c->state == CONN_SEND)
		conn_reset(c);
	else
		conn_close(c);
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
