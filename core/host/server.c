#include "host/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "host/mime.h"
#include "host/worker.h"

#define BACKLOG 4096

/* At most so many are accepted in a turn, lest a flood keep those who are connected waiting. */
#define ACCEPT_TURN 64

/* How long accepting rests when there are no descriptors left. */
#define ACCEPT_REST_NS (100 * NS_PER_MS)

/* ---- the listening socket ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	struct sockaddr_storage room;
};

static socklen_t make_address(const struct endpoint *at, union address *a)
{
	*a = (union address){0};
	if (inet_pton(AF_INET, at->addr, &a->in4.sin_addr) == 1) {
		a->in4.sin_family = AF_INET;
		a->in4.sin_port = htons(at->port);
		return sizeof(a->in4);
	}
	if (inet_pton(AF_INET6, at->addr, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(at->port);
		return sizeof(a->in6);
	}
	return 0;
}

static bool is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET)
		return ntohl(a->in4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

/* What the accepted sockets inherit. */
static int set_inherited(int fd, const struct server_options *o, struct mn_error *e)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (o->congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, o->congestion,
					(socklen_t)strlen(o->congestion)) < 0)
		return mn_fail(e, MN_FAILED, errno,
			       "%s: congestion control not available (see sysctl "
			       "net.ipv4.tcp_available_congestion_control)",
			       o->congestion);
	if (o->client_rate > 0) {
		const uint64_t rate = o->client_rate;

		if (setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)) < 0)
			return mn_fail_errno(e, errno, "pacing");
	}
	return 0;
}

static int listen_on(const struct server_options *o, struct mn_error *e)
{
	const struct endpoint *at = &o->listen;
	cleanup_fd int fd = -1;
	const int on = 1;
	union address a;
	socklen_t size = make_address(at, &a);
	int err;

	if (!size)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "%s: not an IP address (names are not looked up)", at->addr);
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return mn_fail_errno(e, errno, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	err = set_inherited(fd, o, e);
	if (err)
		return err;
	if (bind(fd, &a.any, size) < 0 || listen(fd, BACKLOG) < 0) {
		err = errno;
		mn_fail(e, err == EADDRINUSE ? MN_BUSY : MN_FAILED, err, "%s:%u: %s%s", at->addr,
			at->port, strerror(err),
			err == EADDRINUSE ? " (another server has it; port 0 takes any)" : "");
		return -err;
	}
	if (!is_loopback(&a))
		log_warn("listening on %s: clients are neither encrypted nor authenticated; that "
			 "is for a front server (see memnet-stream(1))",
			 at->addr);
	return STEAL_FD(fd);
}

static void format_url(int fd, char *url, size_t size)
{
	union address a;
	socklen_t len = sizeof(a);
	char text[INET6_ADDRSTRLEN];

	if (getsockname(fd, &a.any, &len) < 0)
		a = (union address){0};
	if (a.any.sa_family == AF_INET6)
		snprintf(url, size, "http://[%s]:%u",
			 inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof(text)),
			 ntohs(a.in6.sin6_port));
	else
		snprintf(url, size, "http://%s:%u",
			 inet_ntop(AF_INET, &a.in4.sin_addr, text, sizeof(text)),
			 ntohs(a.in4.sin_port));
}

/* ---- a worker ---- */

static void accept_ready(struct watch *watch, uint32_t events)
{
	struct worker *w = container_of(watch, struct worker, listener);

	(void)events;
	for (int i = 0; i < ACCEPT_TURN; i++) {
		union address peer;
		socklen_t size = sizeof(peer);
		int fd = accept4(watch->fd, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			conn_accept(w, fd, &peer.room);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warn("accept: %s", strerror(errno));
			loop_remove(&w->loop, watch);
			loop_timer_set(&w->loop, &w->accept_timer, w->loop.now_ns + ACCEPT_REST_NS);
		}
		return;
	}
}

static int accept_start(struct worker *w)
{
	/* Exclusive: one worker wakes for a connection, not all of them. */
	return loop_add(&w->loop, &w->listener,
			w->server->options.workers > 1 ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN);
}

static void accept_again(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, accept_timer);

	if (!w->draining)
		accept_start(w);
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
	loop_remove(loop, &w->listener);
	loop_timer_clear(loop, &w->accept_timer);
	loop_timer_set(loop, &w->drain_timer, loop->now_ns + w->server->options.drain_ns);
	conn_drain(w);
	if (w->conn_count == 0)
		loop_stop(loop);
}

static void follow_object(struct object *o)
{
	follow_begin(&container_of(o->store, struct worker, store)->follow, o);
}

static void unfollow_object(struct object *o)
{
	follow_end(&container_of(o->store, struct worker, store)->follow, o);
}

static void after_batch(struct loop *loop)
{
	conn_run_all(container_of(loop, struct worker, loop));
}

static int worker_init(struct worker *w, struct server *server, const struct sites *sites)
{
	const bool releasing = server->options.release != RELEASE_NEVER;
	int err;

	w->server = server;
	w->listener = (struct watch){server->listenfd, accept_ready};
	w->accept_timer.fire = accept_again;
	w->expire_timer.fire = expire;
	w->drain_timer.fire = drain_late;
	conn_init(w);
	err = loop_init(&w->loop);
	if (!err)
		err = sites_copy(&w->sites, sites);
	if (!err)
		err = store_init(&w->store, !releasing, releasing);
	if (!err)
		err = follow_init(&w->follow, &w->loop, &w->store, &w->sites, conn_wake_waiting);
	if (err)
		return err;
	w->store.follow = follow_object;
	w->store.unfollow = unfollow_object;
	w->loop.on_wake = drain;
	w->loop.after = after_batch;
	return accept_start(w);
}

static void worker_fini(struct worker *w)
{
	if (!w->server)
		return;
	conn_fini(w);
	store_fini(&w->store);
	follow_fini(&w->follow);
	sites_fini(&w->sites);
	loop_fini(&w->loop);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	int err = loop_run(&w->loop);

	if (err)
		log_error("event loop: %s", strerror(-err));
	return NULL;
}

/* ---- all of them ---- */

static void on_signal(struct loop *loop, int signo)
{
	struct server *server = container_of(loop, struct worker, loop)->server;

	log_debug("%s: draining", strsignal(signo));
	for (unsigned i = 0; i < server->options.workers; i++)
		loop_wake(&server->workers[i].loop);
}

static int start_threads(struct server *s, struct mn_error *e)
{
	for (unsigned i = 1; i < s->options.workers; i++) {
		int err = pthread_create(&s->workers[i].thread, NULL, worker_main, &s->workers[i]);

		if (err)
			return mn_fail_errno(e, err, "worker %u", i + 1);
		s->started++;
	}
	return 0;
}

static void join_threads(struct server *s)
{
	for (unsigned i = 1; i <= s->started; i++) {
		loop_wake(&s->workers[i].loop);
		pthread_join(s->workers[i].thread, NULL);
	}
}

static int run(struct server *s, const struct sites *sites, void (*started)(const char *url),
	       struct mn_error *e)
{
	static const int signals[] = {SIGTERM, SIGINT, 0};
	char url[80];
	int err;

	for (unsigned i = 0; i < s->options.workers; i++) {
		err = worker_init(&s->workers[i], s, sites);
		if (err)
			return mn_fail_errno(e, -err, "worker %u", i + 1);
	}
	err = loop_signals(&s->workers[0].loop, signals, on_signal);
	if (err)
		return mn_fail_errno(e, -err, "signals");
	err = start_threads(s, e);
	if (err)
		return err;
	format_url(s->listenfd, url, sizeof(url));
	started(url);
	worker_main(&s->workers[0]);
	return 0;
}

/* A descriptor for each connection and object: as many as we may have. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int server_run(const struct server_options *options, const struct sites *sites,
	       void (*started)(const char *url), struct mn_error *e)
{
	struct server s = {.options = *options};
	int err;

	raise_limit();
	mime_load("/etc/mime.types");
	s.listenfd = listen_on(options, e);
	if (s.listenfd < 0)
		return s.listenfd;
	s.workers = calloc(options->workers, sizeof(*s.workers));
	err = s.workers ? release_init(&s.release) : -ENOMEM;
	if (err)
		return mn_fail_errno(e, -err, "server");
	err = run(&s, sites, started, e);
	join_threads(&s);
	for (unsigned i = 0; i < options->workers; i++)
		worker_fini(&s.workers[i]);
	release_fini(&s.release);
	free(s.workers);
	close(s.listenfd);
	return err;
}
