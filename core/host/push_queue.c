#include "host/push_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/log.h"
#include "base/notices.h"
#include "host/walk.h"
#include "space/name.h"

/* How often it is asked whether the space still is the same one, and how often all of it is looked
 * at whatever inotify says. */
#define TICK_NS (2 * NS_PER_S)
#define LOOK_NS (60 * NS_PER_S)

#define APPEARING (IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE)
#define VANISHING (IN_DELETE | IN_MOVED_FROM)

/* ---- entries ---- */

static struct push_entry **chain_of(struct push_queue *q, const char *path)
{
	unsigned h = 2166136261U;

	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 16777619U;
	return &q->chain[(h ^ h >> 15) & (PUSH_CHAINS - 1)];
}

static struct push_entry *find(struct push_queue *q, const char *path)
{
	struct push_entry *e = *chain_of(q, path);

	while (e && strcmp(e->path, path) != 0)
		e = e->next;
	return e;
}

static struct push_entry *add(struct push_queue *q, const char *path)
{
	struct push_entry **chain = chain_of(q, path), *e;

	if (q->count >= PUSH_NAMES_MAX) {
		if (!q->full)
			log_warn("%s: more than %d objects: the others wait until some are gone",
				 q->site->name, PUSH_NAMES_MAX);
		q->full = true;
		return NULL;
	}
	e = calloc(1, sizeof(*e) + strlen(path) + 1);
	if (!e)
		return NULL;
	strcpy(e->path, path);
	e->size = -1;
	list_init(&e->pending);
	e->next = *chain;
	*chain = e;
	q->count++;
	return e;
}

void push_queue_forget(struct push_queue *q, struct push_entry *entry)
{
	struct push_entry **p = chain_of(q, entry->path);

	while (*p != entry)
		p = &(*p)->next;
	*p = entry->next;
	list_remove(&entry->pending);
	if (q->busy == entry)
		q->busy = NULL;
	q->count--;
	free(entry);
}

static bool is_delivered(const struct push_entry *e, const struct stat *st)
{
	return e->size == st->st_size && e->ino == st->st_ino && e->dev == st->st_dev &&
	       e->written.tv_sec == st->st_mtim.tv_sec && e->written.tv_nsec == st->st_mtim.tv_nsec;
}

/* The entry of a file that is due, or NULL; it is not pending yet. */
static struct push_entry *consider(struct push_queue *q, const char *path, const struct stat *st)
{
	struct push_entry *e;

	if (!S_ISREG(st->st_mode) || !object_path_valid(path) ||
	    (q->glob && fnmatch(q->glob, path, FNM_PATHNAME) != 0))
		return NULL;
	e = find(q, path);
	if (!e)
		e = add(q, path);
	if (!e)
		return NULL;
	e->seen = true;
	return list_empty(&e->pending) && !is_delivered(e, st) ? e : NULL;
}

static void append(struct push_queue *q, struct push_entry *e)
{
	e->tries = 0;
	list_append(&q->pending, &e->pending);
}

/* ---- the look at everything ---- */

struct due {
	struct push_entry *entry;
	struct timespec changed;
};

struct look {
	struct walk walk;
	struct push_queue *queue;
	struct due *due;
	size_t count, room;
};

static void look_at_file(struct walk *walk, const char *path, const struct stat *st)
{
	struct look *l = container_of(walk, struct look, walk);
	struct push_entry *e;

	if (l->count == l->room) {
		const size_t room = l->room ? 2 * l->room : 256;
		struct due *grown = realloc(l->due, room * sizeof(*grown));

		if (!grown)
			return;
		l->due = grown;
		l->room = room;
	}
	e = consider(l->queue, path, st);
	if (e)
		l->due[l->count++] = (struct due){e, st->st_ctim};
}

static void look_at_folder(struct walk *walk, int fd, const char *path)
{
	struct push_queue *q = container_of(walk, struct look, walk)->queue;
	char self[32];
	int wd;

	if (q->watch.fd < 0 || q->folders == PUSH_FOLDERS_MAX)
		return;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	wd = inotify_add_watch(q->watch.fd, self, APPEARING | VANISHING | IN_ONLYDIR);
	for (unsigned i = 0; i < q->folders; i++) {
		if (q->folder[i].wd == wd)
			return;
	}
	if (wd >= 0)
		q->folder[q->folders++] = (struct push_folder){wd, strdup(path)};
}

static int by_change(const void *a, const void *b)
{
	const struct due *x = a, *y = b;

	if (x->changed.tv_sec != y->changed.tv_sec)
		return x->changed.tv_sec < y->changed.tv_sec ? -1 : 1;
	if (x->changed.tv_nsec != y->changed.tv_nsec)
		return x->changed.tv_nsec < y->changed.tv_nsec ? -1 : 1;
	return strcmp(x->entry->path, y->entry->path);
}

static void look_into(struct push_queue *q, int rootfd, const char *path)
{
	struct look l = {.walk = {look_at_file, look_at_folder, 4UL * PUSH_NAMES_MAX}, .queue = q};

	walk_space(&l.walk, rootfd, path);
	if (l.count > 0)
		qsort(l.due, l.count, sizeof(*l.due), by_change);
	for (size_t i = 0; i < l.count; i++)
		append(q, l.due[i].entry);
	free(l.due);
}

static void forget_unseen(struct push_queue *q)
{
	for (size_t i = 0; i < PUSH_CHAINS; i++) {
		for (struct push_entry *e = q->chain[i], *next; e; e = next) {
			next = e->next;
			if (!e->seen && e != q->busy)
				push_queue_forget(q, e);
		}
	}
}

/* Watches of folders that are gone go by themselves; those of the others are as they were. */
static void forget_folders(struct push_queue *q)
{
	for (unsigned i = 0; i < q->folders; i++)
		free(q->folder[i].path);
	q->folders = 0;
}

static void look(struct push_queue *q)
{
	const int rootfd = site_root(q->site, q->loop->now_ns);

	for (size_t i = 0; i < PUSH_CHAINS; i++) {
		for (struct push_entry *e = q->chain[i]; e; e = e->next)
			e->seen = false;
	}
	forget_folders(q);
	q->full = q->lost = false;
	q->looked_ns = q->loop->now_ns;
	q->generation = q->site->generation;
	if (rootfd >= 0)
		look_into(q, rootfd, "");
	forget_unseen(q);
	if (!list_empty(&q->pending))
		q->grew(q);
}

/* ---- events ---- */

static const char *folder_of(const struct push_queue *q, int wd)
{
	for (unsigned i = 0; i < q->folders; i++) {
		if (q->folder[i].wd == wd)
			return q->folder[i].path;
	}
	return NULL;
}

static void appeared(struct push_queue *q, const char *path, uint32_t mask)
{
	const int rootfd = site_root(q->site, q->loop->now_ns);
	cleanup_fd int fd = rootfd < 0 ? -1 : confine_open(rootfd, path, O_PATH, 0);
	struct push_entry *e;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		if (object_path_valid(path))
			look_into(q, rootfd, path);
		return;
	}
	e = consider(q, path, &st);
	if (e)
		append(q, e);
	else
		e = find(q, path);
	if (e && (mask & (IN_MOVED_TO | IN_CLOSE_WRITE) || st.st_nlink > 1))
		e->whole = true;
}

static void take_event(void *cookie, const struct inotify_event *ev)
{
	struct push_queue *q = cookie;
	const char *folder = folder_of(q, ev->wd);
	char path[OBJECT_PATH_MAX + 1];
	struct push_entry *e;

	if (ev->mask & (IN_Q_OVERFLOW | IN_UNMOUNT))
		q->lost = true;
	if (!folder || ev->len == 0 ||
	    snprintf(path, sizeof(path), "%s%s%s", folder, *folder ? "/" : "", ev->name) >=
		    (int)sizeof(path))
		return;
	if (ev->mask & APPEARING) {
		appeared(q, path, ev->mask);
		return;
	}
	/* The watches of a folder that was moved tell a path that it no longer has. */
	q->lost |= (ev->mask & IN_ISDIR) != 0;
	e = find(q, path);
	if (e && list_empty(&e->pending) && e != q->busy)
		push_queue_forget(q, e);
}

/* Held open, the space could not be unmounted. */
static void let_go(struct push_queue *q)
{
	if (list_empty(&q->pending) && !q->busy)
		site_close(q->site);
}

static void events_ready(struct watch *w, uint32_t events)
{
	struct push_queue *q = container_of(w, struct push_queue, watch);

	(void)events;
	notices_take(w->fd, take_event, q);
	if (q->lost)
		look(q);
	if (!list_empty(&q->pending))
		q->grew(q);
	let_go(q);
}

static void tick(struct timer *t)
{
	struct push_queue *q = container_of(t, struct push_queue, tick);
	const int64_t now = q->loop->now_ns;

	if (site_root(q->site, now) < 0 || q->site->generation != q->generation ||
	    now - q->looked_ns > LOOK_NS)
		look(q);
	let_go(q);
	loop_timer_set(q->loop, t, now + TICK_NS);
}

int push_queue_init(struct push_queue *q, struct loop *loop, struct site *site, const char *glob,
		    void (*grew)(struct push_queue *q), bool watch)
{
	*q = (struct push_queue){.loop = loop, .site = site, .glob = glob, .grew = grew};
	list_init(&q->pending);
	q->tick.fire = tick;
	q->watch = (struct watch){-1, events_ready};
	q->chain = calloc(PUSH_CHAINS, sizeof(struct push_entry *));
	if (!q->chain)
		return -ENOMEM;
	if (watch) {
		q->watch.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (q->watch.fd < 0 || loop_add(loop, &q->watch, EPOLLIN))
			return -errno;
		loop_timer_set(loop, &q->tick, loop->now_ns + TICK_NS);
	}
	return 0;
}

void push_queue_start(struct push_queue *q)
{
	look(q);
}

void push_queue_fini(struct push_queue *q)
{
	for (size_t i = 0; q->chain && i < PUSH_CHAINS; i++) {
		while (q->chain[i])
			push_queue_forget(q, q->chain[i]);
	}
	free(q->chain);
	forget_folders(q);
	if (q->watch.fd > 0)
		close(q->watch.fd);
	*q = (struct push_queue){.watch.fd = -1};
}

/* ---- what becomes of the first ---- */

struct push_entry *push_queue_first(struct push_queue *q)
{
	struct list *l = list_first(&q->pending);

	return l ? list_entry(l, struct push_entry, pending) : NULL;
}

void push_queue_done(struct push_queue *q, struct push_entry *entry, const struct stat *st)
{
	const int rootfd = site_root(q->site, q->loop->now_ns);
	cleanup_fd int fd = -1;
	struct stat now;

	entry->dev = st->st_dev;
	entry->ino = st->st_ino;
	entry->size = st->st_size;
	entry->written = st->st_mtim;
	entry->whole = false;
	list_remove(&entry->pending);
	fd = rootfd < 0 ? -1 : confine_open(rootfd, entry->path, O_PATH, 0);
	if (fd < 0 || fstat(fd, &now) < 0)
		push_queue_forget(q, entry);
	else if (consider(q, entry->path, &now))
		append(q, entry);
}

void push_queue_behind(struct push_queue *q, struct push_entry *entry)
{
	list_remove(&entry->pending);
	append(q, entry);
}
