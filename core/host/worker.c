/* A worker: takes connections, and sees to what has to be looked at from time to time. */
#include "host/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/conn.h"
#include "host/listen.h"
#include "host/pacer.h"
#include "host/sweep.h"

/* At most so many are accepted in a turn, lest a flood keep those who are connected waiting. */
#define ACCEPT_TURN 64

/* Said again when it still, or again, is so. */
#define ACCEPT_SAY_NS (10 * NS_PER_S)

void worker_full(struct worker *w, int err)
{
	if (w->full_ns && w->loop.now_ns - w->full_ns < ACCEPT_SAY_NS)
		return;
	w->full_ns = w->loop.now_ns;
	if (err == -EMFILE)
		log_warn("clients wait: all %llu descriptors are in use, one for each client and "
			 "object (raise the limit: LimitNOFILE= of systemd, or ulimit -Hn)",
			 w->server->descriptors);
	else
		log_warn("clients wait: accept: %s", strerror(-err));
}

static void accept_all(struct worker *w, struct acceptor *from)
{
	for (int i = 0; i < ACCEPT_TURN; i++) {
		union address peer;
		socklen_t size = sizeof(peer);
		int fd = acceptor_take(from, &peer.any, &size);

		if (fd < 0) {
			if (acceptor_full(fd))
				worker_full(w, fd);
			return;
		}
		conn_accept(w, fd, &peer.room, from == &w->metrics_listener);
	}
}

static void accept_ready(struct watch *watch, uint32_t events)
{
	struct worker *w = container_of(watch, struct worker, listener.watch);

	(void)events;
	accept_all(w, &w->listener);
}

static void accept_metrics_ready(struct watch *watch, uint32_t events)
{
	struct worker *w = container_of(watch, struct worker, metrics_listener.watch);

	(void)events;
	accept_all(w, &w->metrics_listener);
}

int worker_serve_metrics(struct worker *w, int listenfd)
{
	return acceptor_start(&w->metrics_listener, &w->loop, listenfd, EPOLLIN,
			      accept_metrics_ready);
}

static void expire(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, expire_timer);
	const int64_t now = w->loop.now_ns;
	int64_t next = store_expire(&w->store, now);

	for (size_t i = 0; i < w->sites.count; i++) {
		struct site *site = &w->sites.site[i];

		if (site->rootfd < 0)
			continue;
		if (site->used_ns + OBJECT_IDLE_NS <= now)
			site_close(site);
		else if (!next || site->used_ns + OBJECT_IDLE_NS < next)
			next = site->used_ns + OBJECT_IDLE_NS;
	}
	if (next)
		loop_timer_set(&w->loop, t, next);
}

/* Worker 0's: ttl and lru, and what is left of delivered. */
#define SWEEP_LRU_NS (250 * NS_PER_MS)

static int64_t sweep_interval(const struct server_options *o)
{
	const int64_t part = (o->release == RELEASE_TTL ? o->ttl_ns : o->abandon_ns) / 8;

	if (o->release == RELEASE_LRU)
		return SWEEP_LRU_NS;
	return part < 100 * NS_PER_MS ? 100 * NS_PER_MS
	       : part > 10 * NS_PER_S ? 10 * NS_PER_S
				      : part;
}

static unsigned sweep_site(struct worker *w, const struct site *site, int rootfd)
{
	const struct server_options *o = &w->server->options;
	struct release *r = &w->server->release;

	if (o->release == RELEASE_TTL)
		return sweep_old(r, rootfd, o->ttl_ns);
	if (o->release == RELEASE_LRU)
		return sweep_full(r, rootfd);
	return sweep_left(r, rootfd, site->name, w->loop.now_ns, o->abandon_ns);
}

static void sweep(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, sweep_timer);
	const struct server_options *o = &w->server->options;

	for (size_t i = 0; i < w->sites.count; i++) {
		struct site *site = &w->sites.site[i];
		int rootfd = site_root(site, w->loop.now_ns);
		unsigned removed;

		if (rootfd < 0)
			continue;
		removed = sweep_site(w, site, rootfd);
		if (removed > 0)
			log_debug("released %u objects of %s", removed, site->name);
		/* The next look is far off: the space may be unmounted before that. */
		if (w->conn_count == 0)
			site_close(site);
	}
	loop_timer_set(&w->loop, t, w->loop.now_ns + sweep_interval(o));
}

void worker_sweep(struct worker *w)
{
	const struct server_options *o = &w->server->options;

	if (o->release == RELEASE_TTL || o->release == RELEASE_LRU ||
	    (o->release == RELEASE_DELIVERED && o->abandon_ns > 0))
		sweep(&w->sweep_timer);
}

static void drain_late(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, drain_timer);

	if (w->conn_count > 0)
		log_warn("%u connections broken off: not done in time", w->conn_count);
	conn_abort_all(w);
	loop_stop(&w->loop);
}

static void drain(struct loop *loop)
{
	struct worker *w = container_of(loop, struct worker, loop);

	if (w->draining)
		return;
	w->draining = true;
	acceptor_stop(&w->listener);
	acceptor_stop(&w->metrics_listener);
	rtsp_fini(&w->rtsp);
	loop_timer_set(loop, &w->drain_timer, loop->now_ns + w->server->options.drain_ns);
	conn_drain(w);
	if (w->conn_count == 0)
		loop_stop(loop);
}

static void woken(struct loop *loop)
{
	struct worker *w = container_of(loop, struct worker, loop);

	if (atomic_load(&w->server->stopping))
		drain(loop);
}

static void follow_object(struct object *o)
{
	follow_begin(&container_of(o->store, struct worker, store)->follow, o);
}

static void unfollow_object(struct object *o)
{
	follow_end(&container_of(o->store, struct worker, store)->follow, o);
}

/*
 * What is open is let go some time after its last use; that may be the end of a long transfer, long
 * after the last request.
 */
static void expect_expiry(struct worker *w)
{
	bool open = !list_empty(&w->store.idle);

	if (w->expire_timer.slot)
		return;
	for (size_t i = 0; i < w->sites.count && !open; i++)
		open = w->sites.site[i].rootfd >= 0;
	if (open)
		loop_timer_set(&w->loop, &w->expire_timer, w->loop.now_ns + OBJECT_IDLE_NS);
}

static void after_batch(struct loop *loop)
{
	struct worker *w = container_of(loop, struct worker, loop);

	store_round(&w->store);
	pacer_run(w);
	conn_unpack_turn(w);
	store_round(&w->store);
	if (!list_empty(&w->runnable) || !list_empty(&w->unpacking))
		loop_again(&w->loop);
	expect_expiry(w);
	if (w->lines.size > 0)
		access_log_flush(&w->lines, w->server->logfd);
}

int worker_init(struct worker *w, struct server *server, const struct sites *sites)
{
	const bool releasing = server->options.release != RELEASE_NEVER;
	int err;

	w->server = server;
	w->expire_timer.fire = expire;
	w->drain_timer.fire = drain_late;
	w->sweep_timer.fire = sweep;
	conn_init(w);
	sender_init(&w->sender, server->nullfd);
	err = loop_init(&w->loop);
	if (!err)
		err = sites_copy(&w->sites, sites);
	if (!err)
		err = store_init(&w->store, !releasing, releasing);
	if (!err)
		err = follow_init(&w->follow, &w->loop, &w->store, &w->sites);
	if (err)
		return err;
	w->store.follow = follow_object;
	w->store.unfollow = unfollow_object;
	w->store.changed = conn_wake_waiting;
	w->follow.reload.wake = conn_reload_wake;
	w->loop.on_wake = woken;
	w->loop.after = after_batch;
	/* Exclusive: one worker wakes for a connection, not all of them. */
	return acceptor_start(&w->listener, &w->loop, server->listenfd,
			      server->options.workers > 1 ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN,
			      accept_ready);
}

void worker_fini(struct worker *w)
{
	if (!w->server)
		return;
	rtsp_fini(&w->rtsp);
	controller_fini(&w->controller);
	conn_fini(w);
	store_fini(&w->store);
	sender_fini(&w->sender);
	follow_fini(&w->follow);
	sites_fini(&w->sites);
	loop_fini(&w->loop);
}

void worker_run(struct worker *w)
{
	int err = loop_run(&w->loop);

	if (err)
		log_error("event loop: %s", strerror(-err));
	/* What the last turn answered or broke off, which no batch comes after. */
	if (w->lines.size > 0)
		access_log_flush(&w->lines, w->server->logfd);
}
