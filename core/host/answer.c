/*
 * From a request to the head of its response: which object, whether at all, which bytes of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/access_log.h"
#include "host/conn.h"
#include "host/listing.h"
#include "host/metrics.h"
#include "host/mime.h"
#include "host/multipart.h"
#include "host/pacer.h"
#include "host/unpack.h"
#include "host/validator.h"
#include "space/name.h"

static const char *reason_of(int status)
{
	switch (status) {
	case 200: return "OK";
	case 204: return "No Content";
	case 206: return "Partial Content";
	case 301: return "Moved Permanently";
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

/* ---- heads ---- */

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

static void field(struct text *t, const char *name, int64_t value)
{
	text_put(t, name);
	text_decimal(t, value);
	text_put(t, "\r\n");
}

/* The head's beginning, in the worker's buffer; end_head() completes it. */
static struct text begin_head(struct conn *c, int status)
{
	struct worker *w = c->worker;
	struct text t = {.buf = w->out, .room = RESPONSE_HEAD_MAX};

	c->close |= w->draining;
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
	const char *cors = c->worker->server->options.cors;

	if (cors && !c->metrics) {
		text_put(t, "Access-Control-Allow-Origin: ");
		text_put(t, cors);
		text_put(t, "\r\nAccess-Control-Expose-Headers: Content-Range, Content-Length, "
			    "ETag, Accept-Ranges\r\n");
	}
	if (c->close)
		text_put(t, "Connection: close\r\n");
	else if (c->worker->request.minor == 0)
		text_put(t, "Connection: keep-alive\r\n");
	text_put(t, "\r\n");
	c->head_size = t->size;
	c->state = CONN_SEND;
}

/* A response whose body is in memory. */
static enum step answer_body(struct conn *c, int status, const char *fields, const char *type,
			     const struct text *body)
{
	const bool bodiless = status == 304 || status == 204;
	const bool send = !bodiless && c->worker->request.method != HTTP_HEAD;
	struct text t = begin_head(c, status);

	text_put(&t, fields);
	if (!bodiless) {
		text_put(&t, "Content-Type: ");
		text_put(&t, type);
		text_put(&t, "\r\n");
		field(&t, "Content-Length: ", (int64_t)body->size);
	}
	end_head(c, &t);
	if (t.cut || conn_put(c, t.buf, t.size, send && body->size > 0))
		return STEP_CLOSE;
	if (send && body->size > 0 && conn_put(c, body->buf, body->size, false))
		return STEP_CLOSE;
	return STEP_GO_ON;
}

enum step answer_plain(struct conn *c, int status, const char *fields, const char *why)
{
	char line[256];
	struct text body = {.buf = line, .room = sizeof(line)};

	conn_leave_object(c);
	text_decimal(&body, status);
	text_put(&body, " ");
	text_put(&body, why ? why : reason_of(status));
	text_put(&body, "\n");
	return answer_body(c, status, fields, "text/plain; charset=utf-8", &body);
}

enum step answer_refuse(struct conn *c, int status)
{
	c->close = true;
	c->linger = true;
	return answer_plain(c, status, "", NULL);
}

enum step answer_unread(struct conn *c, int status)
{
	struct worker *w = c->worker;

	/* What is there is another client's. */
	memset(&w->request, 0, offsetof(struct http_request, path));
	c->began_ns = w->loop.now_ns;
	conn_begin_log(c);
	return answer_refuse(c, status);
}

/* ---- an object's head ---- */

static bool is_playlist(const struct object *o)
{
	return strcmp(o->type, "application/vnd.apple.mpegurl") == 0 ||
	       strcmp(o->type, "application/dash+xml") == 0;
}

/* Of all that could be had by this name in this form. */
static int64_t content_size(const struct conn *c)
{
	return c->unpack ? unpack_size(c->unpack) : c->object->st.st_size;
}

/* The media type of what is sent; a coding, with Content-Encoding, is not part of that. */
static const char *type_of(const struct conn *c, bool encoded)
{
	return encoded || c->unpack ? mime_inner_type(c->object->path) : c->object->type;
}

/* For host/validator.h. */
static const char *form_of(const struct conn *c)
{
	return c->unpack ? "-u" : "";
}

enum step answer_next_part(struct conn *c)
{
	struct multipart *parts = c->parts;
	char buf[MULTIPART_HEAD_MAX];
	struct text t = {.buf = buf, .room = sizeof(buf)};

	multipart_put(parts, &t);
	if (parts->next == parts->count) {
		free(parts);
		c->parts = NULL;
		return conn_put(c, t.buf, t.size, false) ? STEP_CLOSE : STEP_GO_ON;
	}
	if (c->unpack) {
		unpack_next(c->unpack);
	} else {
		c->at = parts->range[parts->next].first;
		c->end = parts->range[parts->next].last + 1;
	}
	parts->next++;
	return conn_put(c, t.buf, t.size, true) ? STEP_CLOSE : STEP_GO_ON;
}

static int64_t body_size(const struct conn *c)
{
	const int64_t promise = c->promise ? (int64_t)strlen(c->promise) : 0;

	return c->parts ? multipart_length(c->parts) : promise + c->end - c->at;
}

/* What a cache has to know of the object in this form: in a 304 as in a 200 (RFC 9110, 15.4.5). */
static void put_cache_fields(struct text *t, const struct conn *c, bool encoded)
{
	const struct object *o = c->object;

	if (encoded || c->unpack)
		text_put(t, "Vary: Accept-Encoding\r\n");
	validator_put(t, o, form_of(c), c->worker->date_s);
	if (o->live || is_playlist(o))
		text_put(t, "Cache-Control: no-cache\r\n");
}

static void put_object_fields(struct conn *c, struct text *t, int status, bool encoded)
{
	text_put(t, "Content-Type: ");
	if (c->parts)
		multipart_put_type(c->parts, t);
	else
		text_put(t, type_of(c, encoded));
	text_put(t, "\r\n");
	if (encoded)
		text_put(t, "Content-Encoding: zstd\r\n");
	if (status == 206 && !c->parts)
		http_range_put(t, c->at, c->open_ended ? RANGE_FOREVER : c->end - 1,
			       c->object->live ? -1 : content_size(c));
	if (!c->open_ended)
		field(t, "Content-Length: ", body_size(c));
	else if (c->chunked)
		text_put(t, "Transfer-Encoding: chunked\r\n");
	put_cache_fields(t, c, encoded);
	text_put(t, c->promise ? "Accept-Ranges: none\r\n" : "Accept-Ranges: bytes\r\n");
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
		return STEP_RESET; /* truncated since we looked */
	c->at = c->end;
	return conn_put(c, head->buf, head->size + size, false) ? STEP_CLOSE : STEP_GO_ON;
}

/* The same without the copy, for an object that is mapped. What is not taken goes by sendfile(2).
 */
static enum step send_mapped(struct conn *c, const struct text *head, void *body)
{
	const struct iovec pieces[] = {
		{head->buf, head->size},
		{body, (size_t)(c->end - c->at)},
	};
	const ssize_t n = conn_put_pieces(c, pieces);

	if (n < 0)
		return STEP_RESET;
	if ((size_t)n > head->size)
		c->at += n - (ssize_t)head->size;
	return STEP_GO_ON;
}

/* Whether all of the body may go out at once, with its head. */
static bool may_send_whole(struct conn *c)
{
	const int64_t size = c->end - c->at;

	return !c->open_ended && size <= OBJECT_COPY_MAX &&
	       pacer_may_send(c, size, PACER_TURN_BYTES) == size;
}

/* Head and body. What is not taken of a mapped one, or is too large to copy, goes by sender.c. */
static enum step send_whole(struct conn *c, struct text *head)
{
	const size_t size = (size_t)(c->end - c->at);
	void *body = c->out ? NULL : object_mapping(c->object, c->at, size);

	if (body)
		return send_mapped(c, head, body);
	if (size <= SMALL_OBJECT_MAX)
		return send_small(c, head);
	return conn_put(c, head->buf, head->size, true) ? STEP_CLOSE : STEP_GO_ON;
}

static enum step send_object(struct conn *c, int status, bool encoded)
{
	const bool head_only = c->worker->request.method == HTTP_HEAD;
	struct text t;

	c->chunked = c->open_ended && c->worker->request.minor > 0;
	c->close |= c->open_ended && !c->chunked;
	c->started = false;
	c->chunk = 0;
	t = begin_head(c, status);
	put_object_fields(c, &t, status, encoded);
	end_head(c, &t);
	if (c->promise && !head_only)
		text_put(&t, c->promise);
	if (t.cut)
		return STEP_CLOSE;
	if (head_only)
		conn_leave_object(c);
	else if (c->unpack)
		c->at = c->end = 0;
	else if (c->parts)
		c->at = c->end;
	else if (may_send_whole(c))
		return send_whole(c, &t);
	return conn_put(c, t.buf, t.size, !head_only) ? STEP_CLOSE : STEP_GO_ON;
}

/* ---- which bytes ---- */

static enum step answer_gone(struct conn *c, int64_t given)
{
	char why[160];

	snprintf(why, sizeof(why),
		 "Gone: bytes 0 to %lld were delivered and given back; ask for bytes=%lld-",
		 (long long)given - 1, (long long)given);
	return answer_plain(c, 410, "Cache-Control: no-store\r\n", why);
}

static enum step answer_no_range(struct conn *c, int64_t size)
{
	char fields[64];

	snprintf(fields, sizeof(fields), "Content-Range: bytes */%lld\r\n", (long long)size);
	return answer_plain(c, 416, fields, NULL);
}

static enum step answer_not_modified(struct conn *c, bool encoded)
{
	char fields[256];
	struct text t = {.buf = fields, .room = sizeof(fields) - 1};

	date_now(c->worker);
	put_cache_fields(&t, c, encoded);
	fields[t.size] = '\0';
	return answer_plain(c, 304, fields, NULL);
}

/* Whether these go out as parts: not where it would take too much decompressing. */
static bool choose_parts(struct conn *c, const struct byte_range *ranges, int n, bool encoded)
{
	if (c->object->live || (c->unpack && unpack_plan(c->unpack, c->object->fd, ranges, n) != 0))
		return false;
	c->parts = multipart_make(type_of(c, encoded), content_size(c), ranges, n);
	return c->parts != NULL;
}

/* Sets at, end, open_ended, parts. 200, 206 or 416. */
static int choose_bytes(struct conn *c, const struct http_request *r, bool encoded)
{
	struct object *o = c->object;
	struct byte_range ranges[RANGES_MAX];
	const int64_t size = content_size(c);
	int n = validator_range_counts(r, o, form_of(c))
			? http_range_parse(r->range, size, o->live, ranges)
			: 0;

	c->at = 0;
	c->end = size;
	c->open_ended = o->live;
	if (c->promise) {
		c->at = (int64_t)c->skipped;
		return 200;
	}
	if (n < 0)
		return 416;
	if (n == 0) /* the whole is always a permitted answer */
		return 200;
	if (n > 1)
		return choose_parts(c, ranges, n, encoded) ? 206 : 200;
	c->at = ranges[0].first;
	c->open_ended = ranges[0].last == RANGE_FOREVER;
	c->end = c->open_ended ? size : ranges[0].last + 1;
	return 206;
}

/* The first byte that the response will need. */
static int64_t first_byte(const struct conn *c)
{
	return c->parts ? multipart_first(c->parts) : c->at;
}

/* Takes part in the object's release. 0, or the status to answer with. */
static int join_readers(struct conn *c)
{
	struct worker *w = c->worker;
	struct object *o = c->object;
	const enum release_mode mode = w->server->options.release;
	int err;

	if (mode == RELEASE_NEVER || w->request.method == HTTP_HEAD)
		return 0;
	err = release_join(&w->server->release, &c->reader, o->fd, o->live, first_byte(c),
			   &c->peer);
	if (err == -ENODATA) {
		o->given = release_given(o->fd, &o->st, true);
		return 410;
	}
	/* Parts out of order prove nothing about what lies between them; who has a playlist that
	 * grows will come for it again, and who has the content does not have the object. */
	if (!err && (c->parts || c->grows || c->unpack))
		c->reader.counts = false;
	return err == -ENOENT ? 404 : err ? 503 : 0;
}

static enum step answer_object(struct conn *c, const struct http_request *r, bool encoded)
{
	struct object *o = c->object;
	int status = validator_check(r, o, form_of(c));

	if (status == 304)
		return answer_not_modified(c, encoded);
	if (status == 412)
		return answer_plain(c, 412, "", NULL);
	status = choose_bytes(c, r, encoded);
	if (status == 416)
		return answer_no_range(c, content_size(c));
	if (c->unpack && r->method != HTTP_HEAD && conn_unpack_start(c))
		return answer_plain(c, 503, "Retry-After: 1\r\n", NULL);
	if (first_byte(c) < o->given)
		return answer_gone(c, o->given);
	switch (join_readers(c)) {
	case 0: break;
	case 404: return answer_plain(c, 404, "", NULL);
	case 410: return answer_gone(c, o->given);
	default: return answer_plain(c, 503, "", NULL);
	}
	/* Parts may go back: how much of what was sent is acknowledged says nothing of a place. */
	if (conn_counts_acks(c) && !c->parts && (o->live || o->given > 0))
		conn_expect_acks(c);
	return send_object(c, status, encoded);
}

/* ---- which object ---- */

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

static enum step answer_options(struct conn *c)
{
	if (!c->worker->server->options.cors)
		return answer_plain(c, 405, "Allow: GET, HEAD\r\n", NULL);
	return answer_body(c, 204,
			   "Allow: GET, HEAD, OPTIONS\r\n"
			   "Access-Control-Allow-Methods: GET, HEAD\r\n"
			   "Access-Control-Allow-Headers: Range, If-Range\r\n"
			   "Access-Control-Max-Age: 86400\r\n",
			   "", &(struct text){0});
}

static enum step answer_metrics(struct conn *c, const struct http_request *r)
{
	struct text body = {0};
	enum step step;

	if (strcmp(r->path, "/metrics") != 0)
		return answer_plain(c, 404, "", "Not Found: metrics are at /metrics");
	if (metrics_format(c->worker->server, &body))
		return answer_plain(c, 503, "", NULL);
	step = answer_body(c, 200, "", "application/openmetrics-text; version=1.0.0; charset=utf-8",
			   &body);
	free(body.buf);
	return step;
}

static enum step answer_listing(struct conn *c, const struct http_request *r, struct site *site,
				const char *path)
{
	const bool json = http_accepts(r->accept, "application/json");
	struct text body = {0};
	enum step step;
	int err;

	if (r->path[r->path_size - 1] != '/')
		return answer_plain(c, 404, "", "Not Found: a folder's list is at its name and /");
	if (c->worker->saved > LISTINGS_SAVED_MAX)
		return answer_plain(c, 503, "Retry-After: 1\r\n", NULL);
	err = listing_format(site_root(site, c->worker->loop.now_ns), path, r->path, json, &body);
	if (err)
		return answer_plain(c, status_of(err), "", NULL);
	step = answer_body(c, 200, "Cache-Control: no-cache\r\nVary: Accept\r\n",
			   json ? "application/json" : "text/html; charset=utf-8", &body);
	free(body.buf);
	return step;
}

/*
 * Opens what the path names into c->object. Where there is only its .zst, that is sent as it is,
 * *encoded, to who accepts it, and else its content, if it is seekable. 0 or -errno; *varies: which
 * depends on what the client accepts.
 */
static int open_object(struct conn *c, const struct http_request *r, struct site *site,
		       const char *path, bool *encoded, bool *varies)
{
	struct worker *w = c->worker;
	int err = store_get(&w->store, site, path, w->loop.now_ns, &c->object);
	char compressed[OBJECT_PATH_MAX + 1];

	*encoded = *varies = false;
	if (err != -ENOENT || *path == '\0' ||
	    snprintf(compressed, sizeof(compressed), "%s.zst", path) >= (int)sizeof(compressed))
		return err;
	err = store_get(&w->store, site, compressed, w->loop.now_ns, &c->object);
	if (err)
		return err;
	*varies = true;
	*encoded = r->accept_encoding.at && http_accepts(r->accept_encoding, "zstd");
	return *encoded ? 0 : conn_unpack(c);
}

enum step answer_request(struct conn *c, const struct http_request *r)
{
	struct worker *w = c->worker;
	const char *path;
	struct site *site;
	enum step step;
	bool encoded, varies;
	int err;

	if (c->metrics)
		return answer_metrics(c, r);
	if (r->method == HTTP_OPTIONS)
		return answer_options(c);
	site = sites_find(&w->sites, r->path, &path);
	if (!site)
		return answer_plain(c, 404, "", NULL);
	if (w->server->options.listing && (!*path || r->path[r->path_size - 1] == '/'))
		return answer_listing(c, r, site, path);
	err = open_object(c, r, site, path, &encoded, &varies);
	if (err)
		return answer_plain(c, status_of(err), varies ? "Vary: Accept-Encoding\r\n" : "",
				    NULL);
	c->grows = false;
	c->promise = NULL;
	if (!encoded && (step = conn_reload_check(c, r)) != STEP_DONE)
		return step;
	site->requests++;
	return answer_object(c, r, encoded);
}
