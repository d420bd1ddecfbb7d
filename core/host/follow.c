#include "host/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/notices.h"
#include "space/layout.h"

static int watch_fd(struct follow *f, int fd, uint32_t mask)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return inotify_add_watch(f->watch.fd, path, mask);
}

/*
 * Every look may end an object and take it out of the list, and what is told of it may put back or
 * open others: so each is taken out first, and appended again if it goes on living.
 */
static void look_all(struct follow *f, const struct site *site)
{
	struct list round, *l;

	list_init(&round);
	list_move_all(&f->store->living, &round);
	while ((l = list_first(&round)) != NULL) {
		struct object *o = list_entry(l, struct object, living);

		list_remove(l);
		list_append(&f->store->living, l);
		if (!site || o->site == site)
			object_look(o, f->loop->now_ns);
	}
}

static struct object *object_of(struct follow *f, int wd)
{
	for (struct list *l = f->store->living.next; l != &f->store->living; l = l->next) {
		struct object *o = list_entry(l, struct object, living);

		if (o->wd == wd)
			return o;
	}
	return NULL;
}

static struct site *site_of(struct follow *f, int wd)
{
	for (size_t i = 0; i < f->sites->count; i++) {
		if (f->sites->site[i].live_wd == wd)
			return &f->sites->site[i];
	}
	return NULL;
}

static void take_event(void *cookie, const struct inotify_event *ev)
{
	struct follow *f = cookie;
	struct object *o = object_of(f, ev->wd);
	struct site *site = site_of(f, ev->wd);

	reload_event(&f->reload, ev->wd, ev->mask);
	if (ev->mask & IN_Q_OVERFLOW) {
		look_all(f, NULL);
		return;
	}
	if (ev->mask & IN_IGNORED) { /* the file is gone, or its file system */
		if (site)
			site->live_wd = -1;
		if (o)
			o->wd = -1;
	}
	if (site)
		look_all(f, site);
	else if (o)
		object_look(o, f->loop->now_ns);
}

static void events_ready(struct watch *w, uint32_t events)
{
	struct follow *f = container_of(w, struct follow, watch);

	(void)events;
	notices_take(w->fd, take_event, f);
}

static void tick(struct timer *t)
{
	struct follow *f = container_of(t, struct follow, tick);

	look_all(f, NULL);
	if (!list_empty(&f->store->living))
		loop_timer_set(f->loop, t, f->loop->now_ns + FOLLOW_TICK_NS);
}

int follow_init(struct follow *f, struct loop *loop, struct store *store, struct sites *sites)
{
	*f = (struct follow){.loop = loop, .store = store, .sites = sites};
	f->tick.fire = tick;
	f->watch.ready = events_ready;
	f->watch.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (f->watch.fd < 0)
		return -errno;
	reload_init(&f->reload, f->watch.fd);
	return loop_add(loop, &f->watch, EPOLLIN);
}

void follow_fini(struct follow *f)
{
	if (f->watch.fd > 0)
		close(f->watch.fd);
	f->watch.fd = -1;
	reload_fini(&f->reload);
}

static void watch_markers(struct follow *f, struct site *site)
{
	int rootfd = site_root(site, f->loop->now_ns);
	cleanup_fd int fd = -1;

	if (rootfd < 0)
		return;
	/* Anew each time: the folder may be another one, and for the same one it costs nothing. */
	fd = confine_open(rootfd, SPACE_LIVE, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0)
		site->live_wd = watch_fd(f, fd, IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR);
}

void follow_begin(struct follow *f, struct object *o)
{
	watch_markers(f, o->site);
	o->wd = watch_fd(f, o->fd, IN_MODIFY | IN_ATTRIB);
	if (!f->tick.slot)
		loop_timer_set(f->loop, &f->tick, f->loop->now_ns + FOLLOW_TICK_NS);
}

void follow_end(struct follow *f, struct object *o)
{
	if (o->wd >= 0)
		inotify_rm_watch(f->watch.fd, o->wd);
	o->wd = -1;
}
