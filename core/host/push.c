#include "host/push.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "host/mime.h"
#include "host/push_datagram.h"
#include "host/push_stream.h"
#include "host/push_turn.h"
#include "host/ts_clock.h"

/* ---- the control socket ---- */

/* Within this of a live object's end, it is the writer who is waited for. */
static int64_t edge_of(const struct push *p)
{
	return push_scheme_datagrams(p->options->target.scheme) ? TS_LOOK : 1;
}

static struct survey survey(struct controller *c, size_t site)
{
	struct push *p = container_of(c, struct push, controller);
	const struct object *o = p->object;
	struct survey s = {.sent = p->site->sent, .stalls = p->site->stalls};
	int64_t left = o ? o->st.st_size - p->at : 0;

	(void)site;
	if (p->site->dev)
		s.released = release_of(&p->release, p->site->dev);
	s.now.clients = o != NULL;
	s.now.edge = o && o->live && left < edge_of(p);
	s.now.backlog = left > 0 && !s.now.edge ? (uint64_t)left : 0;
	return s;
}

static int serve_controllers(struct push *p)
{
	if (p->socket.fd < 0)
		return 0;
	p->controller = (struct controller){
		.loop = &p->loop,
		.sites = &p->sites,
		.limits = &p->limits,
		.listening = "",
		.rateless =
			push_scheme_datagrams(p->options->target.scheme)
				? "datagrams go by their stream's clock: there is no rate to set"
				: NULL,
		.survey = survey,
	};
	return controller_init(&p->controller, p->socket.fd);
}

/* ---- what happens ---- */

static void drain_late(struct timer *t)
{
	struct push *p = container_of(t, struct push, drain_timer);

	log_warn("/%s/%s broken off: not delivered in time", p->site->name, p->entry->path);
	loop_stop(&p->loop);
}

static void on_signal(struct loop *loop, int signo)
{
	struct push *p = container_of(loop, struct push, loop);

	if (signo == SIGHUP)
		return; /* a reload: there is no log to open anew */
	log_debug("%s: draining", strsignal(signo));
	notify_state("STOPPING=1");
	p->draining = true;
	if (!p->object)
		loop_stop(loop);
	else
		loop_timer_set(loop, &p->drain_timer, loop->now_ns + p->options->drain_ns);
}

static void after_batch(struct loop *loop)
{
	struct push *p = container_of(loop, struct push, loop);
	const bool stirred = p->stirred;

	p->stirred = false;
	if (stirred)
		push_proceed(p);
}

static void queue_grew(struct push_queue *q)
{
	container_of(q, struct push, queue)->stirred = true;
}

static void follow_object(struct object *o)
{
	follow_begin(&container_of(o->store, struct push, store)->follow, o);
}

static void unfollow_object(struct object *o)
{
	follow_end(&container_of(o->store, struct push, store)->follow, o);
}

static void object_changed(struct object *o)
{
	push_stir(container_of(o->store, struct push, store));
}

/* ---- start and end ---- */

static int give_up_rights(const struct push *p, struct mn_error *e)
{
	const struct push_options *o = p->options;
	cleanup_free char *link = controller_folder(&p->socket, o->runtime_dir);
	const struct sandbox_path paths[] = {
		{p->site->space ? o->runtime_dir : p->site->dir,
		 o->release ? SANDBOX_CHANGE : SANDBOX_READ},
		{link, SANDBOX_CHANGE},
	};
	const enum sandbox_dial dial = push_scheme_datagrams(o->target.scheme) ? DIAL_NONE
				       : o->target.scheme == PUSH_UNIX	       ? DIAL_UNIX
									       : DIAL_TCP;
	int err = sandbox_rights(o->user, e);

	if (p->site->space)
		mkdir(o->runtime_dir, 0755);
	if (!err)
		err = sandbox_paths(paths, link ? 2 : 1, dial == DIAL_TCP ? o->target.port : 0, e);
	return err ? err : sandbox_calls(dial, e);
}

static int init(struct push *p, const char *glob, struct mn_error *e)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, 0};
	const struct push_options *o = p->options;
	int err = loop_init(&p->loop);

	if (!err)
		err = release_init(&p->release, o->release);
	if (!err)
		err = store_init(&p->store, false, o->release);
	if (!err)
		err = follow_init(&p->follow, &p->loop, &p->store, &p->sites);
	if (!err)
		err = push_queue_init(&p->queue, &p->loop, p->site, glob, queue_grew, !o->once);
	if (!err)
		err = limits_init(&p->limits, o->rate, 0, p->sites.count);
	if (!err)
		err = serve_controllers(p);
	if (!err)
		err = loop_signals(&p->loop, signals, on_signal);
	if (err)
		return mn_fail_errno(e, -err, "push");
	err = push_scheme_datagrams(o->target.scheme) ? push_datagram_open(p, e)
						      : push_stream_open(p, e);
	if (err)
		return err;
	p->timer.fire = push_expired;
	p->drain_timer.fire = drain_late;
	p->store.follow = follow_object;
	p->store.unfollow = unfollow_object;
	p->store.changed = object_changed;
	p->loop.after = after_batch;
	err = give_up_rights(p, e);
	if (!err)
		err = push_stream_check(o, e);
	if (err)
		return err;
	if (o->once && site_root(p->site, p->loop.now_ns) < 0)
		return mn_fail(e, MN_ABSENT, ENOENT,
			       "%s: no such space (without --once, it is "
			       "waited for)",
			       p->site->name);
	push_queue_start(&p->queue);
	return 0;
}

static void fini(struct push *p)
{
	push_leave(p);
	if (p->way)
		p->way->close(p->way);
	controller_fini(&p->controller);
	limits_fini(&p->limits);
	push_queue_fini(&p->queue);
	store_fini(&p->store);
	follow_fini(&p->follow);
	release_fini(&p->release);
	loop_fini(&p->loop);
}

static int outcome(const struct push *p, struct mn_error *e)
{
	if (!p->options->once || p->given_up == 0)
		return 0;
	return mn_fail(e, p->delivered > 0 ? MN_PARTIAL : MN_FAILED, EIO,
		       "%s: %lu objects not delivered, %lu delivered", p->options->url, p->given_up,
		       p->delivered);
}

/* "VM/SPACE/GLOB": the part before the second '/' is the site's, unless it is a folder's name. */
static int add_source(struct push *p, const char *source, const char **glob, struct mn_error *e)
{
	cleanup_free char *name = strdup(source);
	char *slash = name && *name != '/' && *name != '.' ? strchr(name, '/') : NULL;
	int err;

	*glob = NULL;
	if (!name)
		return -ENOMEM;
	slash = slash ? strchr(slash + 1, '/') : NULL;
	if (slash) {
		*slash = '\0';
		*glob = slash[1] ? source + (slash + 1 - name) : NULL;
	}
	err = sites_add(&p->sites, name, p->options->runtime_dir, e);
	p->site = p->sites.site;
	return err;
}

int push_run(const struct push_options *options, struct mn_error *e)
{
	struct push *p = calloc(1, sizeof(*p));
	const char *glob;
	int err;

	if (!p)
		return mn_fail_errno(e, ENOMEM, "push");
	p->options = options;
	p->socket = (struct controller_socket){-1, -1, ""};
	mime_load("/etc/mime.types");
	err = add_source(p, options->source, &glob, e);
	if (!err) {
		controller_listen(&p->socket, options->runtime_dir, &p->sites);
		err = init(p, glob, e);
		if (!err) {
			log_info("pushing %s to %s", options->source, options->url);
			notify_state("READY=1");
			push_stir(p);
			err = loop_run(&p->loop);
			err = err ? mn_fail_errno(e, -err, "event loop") : outcome(p, e);
		}
		fini(p);
		controller_remove(&p->socket);
	}
	sites_fini(&p->sites);
	free(p);
	return err;
}
