#include "host/server.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "host/listen.h"
#include "host/mime.h"
#include "host/worker.h"

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	sem_post(&w->server->running);
	worker_run(w);
	return NULL;
}

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

void server_wake(struct server *s)
{
	for (unsigned i = 0; i < s->options.workers; i++)
		loop_wake(&s->workers[i].loop);
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

static struct survey survey(struct controller *c, size_t site)
{
	return survey_of(container_of(c, struct worker, controller)->server, site);
}

static int serve_controllers(struct server *s)
{
	struct worker *w = &s->workers[0];

	w->controller = (struct controller){.loop = &w->loop,
					    .sites = &w->sites,
					    .limits = &s->limits,
					    .listening = s->listening,
					    .survey = survey};
	return controller_init(&w->controller, s->controller.fd);
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
		err = worker_serve_metrics(&s->workers[0], s->metricsfd);
		if (err)
			return mn_fail_errno(e, -err, "metrics");
	}
	if (s->rtspfd >= 0)
		err = rtsp_init(&s->workers[0].rtsp, &s->workers[0], s->rtspfd, s->rtpfds,
				s->options.groups.count > 0 ? &s->options.groups : NULL);
	if (err)
		return mn_fail_errno(e, -err, "RTSP");
	if (s->controller.fd >= 0)
		err = serve_controllers(s);
	if (err)
		return mn_fail_errno(e, -err, "controller");
	own_energy_start(&s->energy, &s->workers[0].loop);
	worker_sweep(&s->workers[0]);
	err = start_threads(s, e);
	if (err)
		return err;
	listen_url(s->listenfd, "http", url, sizeof(url));
	snprintf(s->listening, sizeof(s->listening), "%s", url + strlen("http://"));
	err = sandbox_calls(DIAL_NONE, e);
	if (err)
		return err;
	if (s->rtspfd >= 0) {
		char rtsp[80];

		listen_url(s->rtspfd, "rtsp", rtsp, sizeof(rtsp));
		started(rtsp);
	}
	started(url);
	notify_state("READY=1");
	worker_run(&s->workers[0]);
	return 0;
}

/* A descriptor for each connection and object: as many as we may have. */
static void raise_limit(struct server *s)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	s->descriptors = (unsigned long long)limit.rlim_max;
}

static int open_rtsp(struct server *s, struct mn_error *e)
{
	union address a;
	const socklen_t size = listen_address(&s->options.rtsp, &a);
	const uint64_t *rate = &s->options.client_rate;

	s->rtspfd = listen_open(&s->options, &s->options.rtsp, e);
	if (s->rtspfd < 0)
		return s->rtspfd;
	if (*rate > 0)
		setsockopt(s->rtspfd, SOL_SOCKET, SO_MAX_PACING_RATE, rate, sizeof(*rate));
	return rtsp_bind(&a.any, size, &s->options.groups, &s->options.multicast, s->rtpfds, e);
}

/* The sockets and the log: what may need more rights than serving does. */
static int open_all(struct server *s, struct mn_error *e)
{
	const struct server_options *o = &s->options;
	const int handed = notify_listen_fds();

	s->nullfd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (o->access_log) {
		s->logfd = open_log(o->access_log);
		if (s->logfd < 0)
			return mn_fail_errno(e, errno, "%s", o->access_log);
	}
	if (o->metrics.addr) {
		s->metricsfd = listen_open(o, &o->metrics, e);
		if (s->metricsfd < 0)
			return s->metricsfd;
	}
	if (o->rtsp.addr) {
		const int err = open_rtsp(s, e);

		if (err)
			return err;
	}
	if (handed > 0) {
		s->listenfd = NOTIFY_LISTEN_FD;
		return listen_handed(s->listenfd, handed, o, e);
	}
	s->listenfd = listen_open(o, &o->listen, e);
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
	cleanup_free char *log = o->access_log ? realpath(o->access_log, NULL) : NULL;
	cleanup_free char *link = controller_folder(&s->controller, o->runtime_dir);
	size_t n = 0;
	int err = sandbox_rights(o->user, e);

	if (!paths)
		return -ENOMEM;
	for (size_t i = 0; i < sites->count; i++) {
		const struct site *site = &sites->site[i];

		if (site->space)
			mkdir(o->runtime_dir, 0755);
		paths[n].dir = site->space ? o->runtime_dir : site->dir;
		paths[n++].use = o->release == RELEASE_NEVER ? SANDBOX_READ : SANDBOX_CHANGE;
	}
	/* Its own socket's name is to go at the end. */
	if (link)
		paths[n++] = (struct sandbox_path){link, SANDBOX_CHANGE};
	if (log)
		paths[n++] = (struct sandbox_path){dirname(log), SANDBOX_LOG};
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
	err = limits_init(&s->limits, s->options.rate, s->options.client_rate, sites->count);
	if (err)
		return mn_fail_errno(e, -err, "server");
	err = own_energy_open(&s->energy, s->options.energy, e);
	if (err)
		return err;
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
			   .energy.consumer = {.process = -1, .stat = -1},
			   .listenfd = -1,
			   .metricsfd = -1,
			   .logfd = -1,
			   .nullfd = -1,
			   .rtspfd = -1,
			   .rtpfds = {-1, -1}};
	int err = release_init(&s.release, options->release == RELEASE_DELIVERED);

	if (err)
		return mn_fail_errno(e, -err, "server");
	err = rates_init(&s.object_rates);
	if (err)
		return mn_fail_errno(e, -err, "server");
	sem_init(&s.running, 0, 0);
	raise_limit(&s);
	mime_load("/etc/mime.types");
	err = start(&s, sites, started, e);
	close_all(&s);
	controller_remove(&s.controller);
	limits_fini(&s.limits);
	own_energy_close(&s.energy);
	sem_destroy(&s.running);
	rates_fini(&s.object_rates);
	release_fini(&s.release);
	return err;
}
