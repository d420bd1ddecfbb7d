/*
 * The sending half of a connection: from the worker's buffer or the object into the socket, and
 * what a live object's readers do at its edge.
 *
 * Output goes from the worker's buffer to the socket; only what that would not take is saved. A
 * response that cannot be finished as announced (its object was truncated, its writer died) ends
 * with a reset connection, so that no client takes the part for the whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/magic.h>

#include "host/conn.h"
#include "host/pacer.h"
#include "host/unpack.h"

/* ---- bytes ---- */

static void count_sent(struct conn *c, ssize_t n)
{
	c->sent += (uint64_t)n;
	c->worker->counters.sent += (uint64_t)n;
	pacer_sent(c, n);
	if (c->object)
		c->object->site->sent += (uint64_t)n;
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
	c->worker->saved += (int64_t)size;
	return 0;
}

void conn_drop_output(struct conn *c)
{
	c->worker->saved -= (int64_t)c->out_size;
	free(c->out);
	c->out = NULL;
	c->out_at = c->out_size = 0;
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
	conn_full(c);
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
		conn_full(c);
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
		if (errno != EAGAIN)
			return STEP_CLOSE;
		conn_full(c);
		return STEP_WAIT;
	}
	conn_set_deadline(c, CONN_SEND_TIMEOUT_NS);
	count_sent(c, n);
	c->out_at += (size_t)n;
	if (c->out_at < c->out_size) {
		conn_full(c);
		return STEP_WAIT;
	}
	conn_drop_output(c);
	return STEP_GO_ON;
}

/* ---- the response ---- */

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
		conn_set_no_deadline(c);
		return STEP_WAIT;
	}
	c->open_ended = false;
	return c->chunked ? begin_chunk(c, true) : STEP_GO_ON;
}

/* Pages that may be punched in part; of tmpfs alone is known which those are. */
static bool in_large_pages(const struct object *o)
{
	struct statfs fs;

	return o->st.st_blksize > sysconf(_SC_PAGESIZE) || fstatfs(o->fd, &fs) < 0 ||
	       fs.f_type != TMPFS_MAGIC;
}

/* What is left of the object, or of the chunk that is under way. */
static int64_t body_left(const struct conn *c)
{
	return c->chunked ? c->chunk : c->end - c->at;
}

static enum step send_body(struct conn *c, size_t size, int64_t *share)
{
	const bool copied = c->reader.holding && c->reader.flows && in_large_pages(c->object);
	struct sender *sender = &c->worker->sender;
	bool full = false;
	const ssize_t n = copied ? sender_copy(sender, c->watch.fd, c->object, c->at, size)
				 : sender_send(sender, c->watch.fd, c->object, c->at, size, &full);

	if (n == 0)
		return STEP_RESET; /* truncated */
	if (n < 0) {
		if (n != -EAGAIN && n != -EINTR)
			return STEP_RESET;
		conn_full(c);
		return STEP_WAIT;
	}
	store_round(&c->worker->store);
	conn_set_deadline(c, CONN_SEND_TIMEOUT_NS);
	count_sent(c, n);
	c->at += n;
	if (c->chunked)
		c->chunk -= n;
	*share -= n;
	if (!full)
		return STEP_GO_ON;
	conn_full(c);
	return STEP_WAIT;
}

enum step conn_send(struct conn *c, int64_t *share)
{
	int64_t left;

	if (!c->writable)
		return STEP_WAIT;
	if (c->out)
		return send_saved(c);
	if (!c->object)
		return STEP_DONE;
	if (c->unpack && !unpack_done(c->unpack))
		return conn_unpack_send(c, *share);
	left = body_left(c);
	if (left > 0) {
		const int64_t size = pacer_may_send(c, left, *share);

		return size > 0 ? send_body(c, (size_t)size, share) : pacer_wait(c, *share);
	}
	if (c->parts)
		return answer_next_part(c);
	if (c->chunked && c->at < c->end)
		return begin_chunk(c, false);
	if (c->open_ended || c->chunked)
		return at_edge(c);
	return STEP_DONE;
}
