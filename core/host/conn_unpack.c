/*
 * The content of a compressed object, for clients that do not accept it compressed.
 *
 * Theory of operation. Decompressing takes time, which everybody in this worker's loop waits for.
 * So a connection that has room in its socket joins `unpacking`, and after each batch of events the
 * first ones there decompress a piece each, for TURN_NS together; what they do not take of an
 * otherwise busy worker is the others'. A piece goes into the socket at once, and what that does
 * not take is saved: no more is decompressed until it is out.
 *
 * It also takes memory, up to a frame's size for each client. Beyond MEMORY_MAX of it clients are
 * asked to come again.
 */
#include <assert.h>
#include <errno.h>

#include "host/conn.h"
#include "host/pacer.h"
#include "host/unpack.h"

#define TURN_NS	   (NS_PER_MS / 2)
#define MEMORY_MAX (256LL << 20)

static_assert(sizeof(((struct sender *)NULL)->copy) >= UNPACK_PIECE, "a piece fits");

int conn_unpack(struct conn *c)
{
	struct object *o = c->object;
	int err =
		o->live || o->given > 0 ? -ENODATA : unpack_open(o->fd, o->st.st_size, &c->unpack);

	if (!err)
		return 0;
	c->object = NULL;
	object_put(o, c->worker->loop.now_ns);
	return err == -ENOMEM ? err : -ENOENT;
}

int conn_unpack_start(struct conn *c)
{
	struct worker *w = c->worker;
	const int64_t memory = unpack_memory(c->unpack);
	const struct byte_range all = {c->at, c->end - 1};
	int err = 0;

	if (w->unpack_memory + memory > MEMORY_MAX)
		return -EBUSY;
	c->unpack_memory = memory;
	w->unpack_memory += memory;
	if (!c->parts)
		err = unpack_plan(c->unpack, c->object->fd, &all, c->at < c->end);
	if (!err)
		err = unpack_start(c->unpack);
	if (!err && !c->parts)
		unpack_next(c->unpack);
	return err;
}

void conn_unpack_end(struct conn *c)
{
	unpack_close(c->unpack);
	c->unpack = NULL;
	c->worker->unpack_memory -= c->unpack_memory;
	c->unpack_memory = 0;
}

enum step conn_unpack_send(struct conn *c, int64_t share)
{
	struct worker *w = c->worker;
	const char *from = NULL;
	ssize_t n;

	if (pacer_may_send(c, UNPACK_PIECE, share) <= 0)
		return pacer_wait(c, share);
	if (w->unpacks != c)
		return conn_wait_turn(c, &w->unpacking);
	w->unpacks = NULL;
	n = unpack_piece(c->unpack, c->object->fd, w->sender.copy, &from);
	if (n < 0)
		return STEP_RESET;
	conn_set_deadline(c, CONN_SEND_TIMEOUT_NS);
	if (n > 0 && conn_put(c, from, (size_t)n, c->parts || !unpack_done(c->unpack)))
		return STEP_CLOSE;
	return STEP_GO_ON;
}

void conn_unpack_turn(struct worker *w)
{
	const int64_t until = list_empty(&w->unpacking) ? 0 : clock_ns() + TURN_NS;
	struct list *l;

	while ((l = list_first(&w->unpacking)) != NULL) {
		list_remove(l);
		w->unpacks = list_entry(l, struct conn, runnable);
		conn_run(w->unpacks);
		w->unpacks = NULL;
		if (clock_ns() >= until)
			break;
	}
}
