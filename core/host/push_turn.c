#include "host/push_turn.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define RETRY_NS     (100 * NS_PER_MS)
#define RETRY_MAX_NS (30 * NS_PER_S)

/* A file that was neither renamed nor closed while we looked, and is no live object, may still be
 * under its writer's hands: not before it has been left alone for so long. */
#define SETTLE_NS NS_PER_S

void push_deadline(struct push *p, int64_t after_ns)
{
	loop_timer_set(&p->loop, &p->timer, p->loop.now_ns + after_ns);
}

void push_no_deadline(struct push *p)
{
	loop_timer_clear(&p->loop, &p->timer);
}

void push_stir(struct push *p)
{
	p->stirred = true;
	loop_again(&p->loop);
}

/* ---- what becomes of an object ---- */

bool push_written_since(const struct push *p)
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
		.size = delivered && !push_written_since(p) ? o->st.st_size : -1,
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
		push_queue_done(&p->queue, p->entry, &o->st);
	p->entry = NULL;
	object_put(o, p->loop.now_ns);
}

void push_leave(struct push *p)
{
	if (p->object)
		leave_object(p, false);
}

static void rest(struct push *p)
{
	push_no_deadline(p);
	if (p->draining)
		loop_stop(&p->loop);
}

/* Goes on with the next one, in a turn of its own. */
static void go_on(struct push *p)
{
	rest(p);
	push_stir(p);
}

void push_succeed(struct push *p)
{
	log_debug("delivered /%s/%s", p->site->name, p->object->path);
	leave_object(p, true);
	p->delivered++;
	p->failures = p->unreachable = 0;
	go_on(p);
}

void push_redo(struct push *p)
{
	p->way->hang_up(p->way);
	leave_object(p, false);
	go_on(p);
}

void push_refuse(struct push *p, const char *why)
{
	struct push_entry *entry = p->entry;
	const struct stat st = p->object->st;

	log_warn("/%s/%s: %s", p->site->name, entry->path, why);
	p->given_up++;
	leave_object(p, false);
	push_queue_done(&p->queue, entry, &st);
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

void push_fail(struct push *p, const char *why, bool answered)
{
	struct push_entry *entry = p->entry;
	int64_t delay;

	p->way->hang_up(p->way);
	p->failures++;
	p->unreachable = answered ? 0 : p->unreachable + 1;
	delay = retry_delay(p);
	log_warn("/%s/%s to %s: %s (failure %u in a row)", p->site->name, entry->path,
		 p->options->url, why, p->failures);
	push_leave(p);
	p->entry = NULL;
	rest(p);
	if (++entry->tries >= PUSH_TRIES && p->options->once)
		give_up(p, entry);
	else if (entry->tries >= PUSH_TRIES && answered)
		push_queue_behind(&p->queue, entry);
	push_deadline(p, delay);
}

/* ---- which one is next ---- */

static bool is_settled(const struct push *p, int64_t *left_ns)
{
	const struct object *o = p->object;
	struct timespec now;
	int64_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = clock_file_ns(&now) - clock_file_ns(&o->st.st_mtim);
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
		p->at = 0;
		if (!is_settled(p, &left_ns)) {
			leave_object(p, false);
			p->settling = true;
			push_deadline(p, left_ns + NS_PER_MS);
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

static void begin(struct push *p)
{
	if (p->loop.stopped || (p->timer.slot && !p->settling))
		return; /* it is to wait */
	p->settling = false;
	push_no_deadline(p);
	if (open_next(p)) {
		p->way->begin(p->way);
		return;
	}
	if (push_queue_first(&p->queue))
		return;
	site_close(p->site);
	if (p->options->once)
		loop_stop(&p->loop);
}

void push_proceed(struct push *p)
{
	if (!p->object)
		begin(p);
	if (p->object)
		p->way->proceed(p->way);
}

void push_expired(struct timer *t)
{
	struct push *p = container_of(t, struct push, timer);

	if (p->object)
		p->way->expired(p->way);
	else
		push_proceed(p);
}
