#include "host/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "host/mime.h"
#include "host/sweep.h"
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

/*
 * The kernel paces each connection. A second's worth in the socket's buffer, by reference, spares
 * wake-ups: 2,000 clients at 2 Mbit/s cost 0.19 s/GB with it and 0.22 without. Faster ones
 * are left to TCP's own sizing.
 */
#define PACED_BUFFER_MAX (512 * 1024)

static int set_pacing(int fd, uint64_t rate, struct mn_error *e)
{
	const int buffer = (int)rate;

	if (setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)) < 0)
		return mn_fail_errno(e, errno, "pacing");
	if (rate >= PACED_BUFFER_MAX / 8 && rate <= PACED_BUFFER_MAX)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	return 0;
}

/* Left alone where the system does not have it, or does not let us. */
#define CONGESTION_DEFAULT "cubic"

static int set_congestion(int fd, const char *name)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

/* What the accepted sockets inherit. */
static int set_inherited(int fd, const struct server_options *o, struct mn_error *e)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!o->congestion)
		set_congestion(fd, CONGESTION_DEFAULT);
	else if (set_congestion(fd, o->congestion) < 0)
		return mn_fail(e, MN_FAILED, errno,
			       "%s: congestion control not available (see sysctl "
			       "net.ipv4.tcp_available_congestion_control)",
			       o->congestion);
	return o->client_rate > 0 ? set_pacing(fd, o->client_rate, e) : 0;
}

static int listen_on(const struct server_options *o, const struct endpoint *at, struct mn_error *e)
{
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

static void format_url(int fd, const char *scheme, char *url, size_t size)
{
	union address a = {0};
	socklen_t len = sizeof(a);
	char text[INET6_ADDRSTRLEN];

	if (getsockname(fd, &a.any, &len) < 0)
		log_debug("getsockname: %s", strerror(errno));
	if (a.any.sa_family == AF_INET6)
		snprintf(url, size, "%s://[%s]:%u", scheme,
			 inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof(text)),
			 ntohs(a.in6.sin6_port));
	else
		snprintf(url, size, "%s://%s:%u", scheme,
			 inet_ntop(AF_INET, &a.in4.sin_addr, text, sizeof(text)),
			 ntohs(a.in4.sin_port));
}

/* ---- a worker ---- */

/* Accepting rests: there are no descriptors left. */
static void accept_rest(struct worker *w)
{
	log_warn("accept: %s", strerror(errno));
	loop_remove(&w->loop, &w->listener);
	loop_timer_set(&w->loop, &w->accept_timer, w->loop.now_ns + ACCEPT_REST_NS);
}

static void accept_all(struct worker *w, struct watch *watch)
{
	for (int i = 0; i < ACCEPT_TURN; i++) {
		union address peer;
		socklen_t size = sizeof(peer);
		int fd = accept4(watch->fd, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			conn_accept(w, fd, &peer.room, watch == &w->metrics_listener);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			accept_rest(w);
		return;
	}
}

static void accept_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	accept_all(container_of(watch, struct worker, listener), watch);
}

static void accept_metrics_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	accept_all(container_of(watch, struct worker, metrics_listener), watch);
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

/* Worker 0's: ttl and lru. */
#define SWEEP_LRU_NS (250 * NS_PER_MS)

static int64_t sweep_interval(const struct server_options *o)
{
	const int64_t part = o->ttl_ns / 8;

	if (o->release == RELEASE_LRU)
		return SWEEP_LRU_NS;
	return part < 100 * NS_PER_MS ? 100 * NS_PER_MS
	       : part > 10 * NS_PER_S ? 10 * NS_PER_S
				      : part;
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
		removed = o->release == RELEASE_TTL
				  ? sweep_old(&w->server->release, rootfd, o->ttl_ns)
				  : sweep_full(&w->server->release, rootfd);
		if (removed > 0)
			log_debug("released %u objects of %s", removed, site->name);
		/* The next look is far off: the space may be unmounted before that. */
		if (w->conn_count == 0)
			site_close(site);
	}
	loop_timer_set(&w->loop, t, w->loop.now_ns + sweep_interval(o));
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
	if (w->metrics_listener.fd >= 0)
		loop_remove(loop, &w->metrics_listener);
	rtsp_fini(&w->rtsp);
	loop_timer_clear(loop, &w->accept_timer);
	loop_timer_set(loop, &w->drain_timer, loop->now_ns + w->server->options.drain_ns);
	conn_drain(w);
	if (w->conn_count == 0)
		loop_stop(loop);
}

static void woken(struct loop *loop)
{
	struct worker *w = container_of(loop, struct worker, loop);

	conn_pace_all(w);
	if (atomic_load(&w->server->stopping))
		drain(loop);
}

void server_wake(struct server *s)
{
	const uint64_t client = limits_client(&s->limits), rate = client ? client : UINT64_MAX;

	setsockopt(s->listenfd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate));
	for (unsigned i = 0; i < s->options.workers; i++)
		loop_wake(&s->workers[i].loop);
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
	struct worker *w = container_of(loop, struct worker, loop);

	store_round(&w->store);
	conn_run_all(w);
	store_round(&w->store);
	if (w->lines.size > 0)
		access_log_flush(&w->lines, w->server->logfd);
}

static int worker_init(struct worker *w, struct server *server, const struct sites *sites)
{
	const bool releasing = server->options.release != RELEASE_NEVER;
	int err;

	w->server = server;
	w->listener = (struct watch){server->listenfd, accept_ready};
	w->accept_timer.fire = accept_again;
	w->expire_timer.fire = expire;
	w->metrics_listener = (struct watch){-1, accept_metrics_ready};
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
	w->loop.on_wake = woken;
	w->client_rate = server->options.client_rate;
	w->loop.after = after_batch;
	return accept_start(w);
}

static void worker_fini(struct worker *w)
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

static void worker_run(struct worker *w)
{
	int err = loop_run(&w->loop);

	if (err)
		log_error("event loop: %s", strerror(-err));
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	sem_post(&w->server->running);
	worker_run(w);
	return NULL;
}

/* ---- all of them ---- */

static int open_log(const char *file)
{
	return open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

/* The new file takes the old one's number, so that every worker writes to it from then on. */
static void reopen_log(struct server *s)
{
	cleanup_fd int fd = s->logfd < 0 ? -1 : open_log(s->options.access_log);

	if (s->logfd >= 0 && (fd < 0 || dup3(fd, s->logfd, O_CLOEXEC) < 0))
		log_warn("%s: %s (the old file is kept)", s->options.access_log, strerror(errno));
}

static void on_signal(struct loop *loop, int signo)
{
	struct server *server = container_of(loop, struct worker, loop)->server;

	if (signo == SIGHUP) {
		reopen_log(server);
		return;
	}
	log_debug("%s: draining", strsignal(signo));
	notify_state("STOPPING=1");
	atomic_store(&server->stopping, true);
	server_wake(server);
}

static int start_threads(struct server *s, struct mn_error *e)
{
	for (unsigned i = 1; i < s->options.workers; i++) {
		int err = pthread_create(&s->workers[i].thread, NULL, thread_main, &s->workers[i]);

		if (err)
			return mn_fail_errno(e, err, "worker %u", i + 1);
		s->started++;
	}
	/* A C library makes calls at a thread's start that a running server does not need. */
	for (unsigned i = 0; i < s->started; i++) {
		while (sem_wait(&s->running) < 0)
			;
	}
	return 0;
}

static void join_threads(struct server *s)
{
	atomic_store(&s->stopping, true);
	for (unsigned i = 1; i <= s->started; i++) {
		loop_wake(&s->workers[i].loop);
		pthread_join(s->workers[i].thread, NULL);
	}
}

static int run(struct server *s, const struct sites *sites, void (*started)(const char *url),
	       struct mn_error *e)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, 0};
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
	if (s->metricsfd >= 0) {
		s->workers[0].metrics_listener.fd = s->metricsfd;
		loop_add(&s->workers[0].loop, &s->workers[0].metrics_listener, EPOLLIN);
	}
	if (!err && s->rtspfd >= 0)
		err = rtsp_init(&s->workers[0].rtsp, &s->workers[0], s->rtspfd, s->rtpfds);
	if (err)
		return mn_fail_errno(e, -err, "RTSP");
	if (s->controller.fd >= 0)
		err = controller_init(&s->workers[0].controller, &s->workers[0], s->controller.fd);
	if (err)
		return mn_fail_errno(e, -err, "controller");
	if (s->options.release == RELEASE_TTL || s->options.release == RELEASE_LRU)
		sweep(&s->workers[0].sweep_timer);
	err = start_threads(s, e);
	if (err)
		return err;
	format_url(s->listenfd, "http", url, sizeof(url));
	snprintf(s->listening, sizeof(s->listening), "%s", url + strlen("http://"));
	err = sandbox_calls(DIAL_NONE, e);
	if (err)
		return err;
	if (s->rtspfd >= 0) {
		char rtsp[80];

		format_url(s->rtspfd, "rtsp", rtsp, sizeof(rtsp));
		started(rtsp);
	}
	started(url);
	notify_state("READY=1");
	worker_run(&s->workers[0]);
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

static int open_rtsp(struct server *s, struct mn_error *e)
{
	union address a;
	const socklen_t size = make_address(&s->options.rtsp, &a);

	s->rtspfd = listen_on(&s->options, &s->options.rtsp, e);
	return s->rtspfd < 0 ? s->rtspfd : rtsp_bind(&a.any, size, s->rtpfds, e);
}

/* The sockets and the log: what may need more rights than serving does. */
static int open_all(struct server *s, struct mn_error *e)
{
	const struct server_options *o = &s->options;

	s->nullfd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (o->access_log) {
		s->logfd = open_log(o->access_log);
		if (s->logfd < 0)
			return mn_fail_errno(e, errno, "%s", o->access_log);
	}
	if (o->metrics.addr) {
		s->metricsfd = listen_on(o, &o->metrics, e);
		if (s->metricsfd < 0)
			return s->metricsfd;
	}
	if (o->rtsp.addr) {
		const int err = open_rtsp(s, e);

		if (err)
			return err;
	}
	if (notify_listen_fds() > 0) {
		s->listenfd = NOTIFY_LISTEN_FD;
		fcntl(s->listenfd, F_SETFL, fcntl(s->listenfd, F_GETFL) | O_NONBLOCK);
		return set_inherited(s->listenfd, o, e);
	}
	s->listenfd = listen_on(o, &o->listen, e);
	return s->listenfd < 0 ? s->listenfd : 0;
}

static void close_all(struct server *s)
{
	const int fds[] = {s->listenfd, s->metricsfd, s->logfd,	   s->nullfd,
			   s->rtspfd,	s->rtpfds[0], s->rtpfds[1]};

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

/*
 * The folders that are served, and the log's. Spaces come and go, so that it is the folder they
 * come in, which is made if need be.
 */
static int give_up_rights(const struct server *s, const struct sites *sites, struct mn_error *e)
{
	const struct server_options *o = &s->options;
	struct sandbox_path *paths = calloc(sites->count + 2, sizeof(*paths));
	cleanup_free char *link = NULL, *log = o->access_log ? realpath(o->access_log, NULL) : NULL;
	size_t n = 0;
	int err = sandbox_rights(o->user, e);

	if (!paths)
		return -ENOMEM;
	for (size_t i = 0; i < sites->count; i++) {
		const struct site *site = &sites->site[i];

		if (site->space)
			mkdir(o->runtime_dir, 0755);
		paths[n].dir = site->space ? o->runtime_dir : site->dir;
		paths[n++].write = o->release != RELEASE_NEVER;
	}
	/* Its own socket's name is to go at the end. */
	if (s->controller.fd >= 0 && asprintf(&link, "%s/" LINK_FOLDER, o->runtime_dir) > 0)
		paths[n++] = (struct sandbox_path){link, true, false};
	if (log)
		paths[n++] = (struct sandbox_path){dirname(log), true, true};
	if (!err)
		err = sandbox_paths(paths, n, 0, e);
	free(paths);
	return err;
}

static int start(struct server *s, const struct sites *sites, void (*started)(const char *url),
		 struct mn_error *e)
{
	const unsigned count = s->options.workers;
	int err = open_all(s, e);

	if (err)
		return err;
	controller_listen(&s->controller, s->options.runtime_dir, sites);
	err = limits_init(&s->limits, s, sites->count);
	if (err)
		return mn_fail_errno(e, -err, "server");
	tzset(); /* reads a file, the last one for the log's sake */
	err = give_up_rights(s, sites, e);
	if (err)
		return err;
	s->workers = calloc(count, sizeof(*s->workers));
	if (!s->workers)
		return mn_fail_errno(e, ENOMEM, "server");
	err = run(s, sites, started, e);
	join_threads(s);
	for (unsigned i = 0; i < count; i++)
		worker_fini(&s->workers[i]);
	free(s->workers);
	return err;
}

int server_run(const struct server_options *options, const struct sites *sites,
	       void (*started)(const char *url), struct mn_error *e)
{
	struct server s = {.options = *options,
			   .controller = {-1, -1, ""},
			   .listenfd = -1,
			   .metricsfd = -1,
			   .logfd = -1,
			   .nullfd = -1,
			   .rtspfd = -1,
			   .rtpfds = {-1, -1}};
	int err = release_init(&s.release, options->release == RELEASE_DELIVERED);

	if (err)
		return mn_fail_errno(e, -err, "server");
	sem_init(&s.running, 0, 0);
	raise_limit();
	mime_load("/etc/mime.types");
	err = start(&s, sites, started, e);
	close_all(&s);
	controller_remove(&s.controller);
	limits_fini(&s.limits);
	sem_destroy(&s.running);
	release_fini(&s.release);
	return err;
}
