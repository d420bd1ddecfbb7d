/* The receiving half of a connection: from its socket to a request. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/conn.h"

/* What is dropped in a turn, in reads: who sends without end is not to keep the others waiting. */
#define TURN_DISCARDS 16

/* Reads what has come behind what was saved: *size bytes in w->in. */
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
		free(c->in);
		c->in = NULL;
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
		return answer_unread(c, memchr(w->in, '\n', size) ? 431 : 414);
	if (c->hung_up || (size == 0 && w->draining))
		return STEP_CLOSE;
	if (save_input(c, w->in, size))
		return STEP_CLOSE;
	if (size > 0 && fresh)
		conn_set_deadline(c, CONN_HEAD_TIMEOUT_NS);
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

enum step conn_read(struct conn *c)
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
	if (c->held_until_ns == 0)
		c->began_ns = w->loop.now_ns;
	status = http_request_parse(w->in, head, &w->request);
	conn_begin_log(c);
	if (status && status != 405)
		return answer_refuse(c, status);
	/* Before the answer, which may need w->in no more: the request points into it. */
	if (save_input(c, w->in + head, size - head))
		return STEP_CLOSE;
	conn_set_deadline(c, CONN_SEND_TIMEOUT_NS);
	c->close |= w->request.close;
	if (status)
		return answer_plain(c, 405, "Allow: GET, HEAD\r\n", NULL);
	step = answer_request(c, &w->request);
	if (c->state == CONN_RELOAD && save_input(c, w->in, size))
		return STEP_CLOSE;
	return step;
}

enum step conn_discard(struct conn *c)
{
	struct worker *w = c->worker;

	for (int i = 0; c->readable; i++) {
		ssize_t n;

		if (i == TURN_DISCARDS)
			return conn_wait_turn(c, &w->runnable);
		n = recv(c->watch.fd, w->in, sizeof(w->in), 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return STEP_CLOSE;
		c->readable = n > 0;
	}
	return STEP_WAIT;
}
