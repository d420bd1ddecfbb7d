#include "host/object.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/confine.h"
#include "host/rate.h"
#include "host/release.h"
#include "host/mime.h"
#include "space/live.h"
#include "space/name.h"

int store_init(struct store *store, bool may_cache, bool write)
{
	*store = (struct store){.may_cache = may_cache, .write = write, .chains = 1024};
	list_init(&store->idle);
	list_init(&store->living);
	store->chain = calloc(store->chains, sizeof(struct object *));
	return store->chain ? 0 : -ENOMEM;
}

static unsigned hash_of(const struct site *site, const char *path)
{
	unsigned h = (unsigned)((uintptr_t)site >> 4) ^ 2166136261U;

	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 16777619U;
	return h ^ h >> 15;
}

static struct object **place_of(struct store *store, unsigned hash)
{
	return &store->chain[hash & (store->chains - 1)];
}

static struct object *find(struct store *store, const struct site *site, const char *path,
			   unsigned hash)
{
	struct object *o = *place_of(store, hash);

	while (o && (o->hash != hash || o->site != site || strcmp(o->path, path) != 0))
		o = o->next;
	return o;
}

static void destroy(struct object *o)
{
	list_remove(&o->idle);
	if (o->live)
		o->store->unfollow(o);
	list_remove(&o->living);
	if (o->map)
		munmap(o->map, (size_t)o->st.st_size);
	if (o->rate)
		rates_put(o->rate);
	close(o->fd);
	free(o);
}

void object_forget(struct object *o)
{
	struct object **p = place_of(o->store, o->hash);

	if (!o->hashed)
		return;
	while (*p != o)
		p = &(*p)->next;
	*p = o->next;
	o->hashed = false;
	o->store->cached--;
	if (o->refs == 0)
		destroy(o);
}

static void remember(struct object *o)
{
	struct object **p = place_of(o->store, o->hash);

	o->next = *p;
	*p = o;
	o->hashed = true;
	o->store->cached++;
}

void store_fini(struct store *store)
{
	for (unsigned i = 0; store->chain && i < store->chains; i++) {
		while (store->chain[i])
			object_forget(store->chain[i]);
	}
	free(store->chain);
	*store = (struct store){0};
}

static struct object *hold(struct object *o)
{
	if (o->refs++ == 0)
		list_remove(&o->idle);
	return o;
}

void object_put(struct object *o, int64_t now_ns)
{
	if (--o->refs > 0)
		return;
	o->idle_ns = now_ns;
	list_append(&o->store->idle, &o->idle);
	if (!o->hashed)
		destroy(o);
	else if (!o->settled || o->live || !o->store->may_cache ||
		 o->store->cached > OBJECT_CACHE_MAX)
		object_forget(o);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* See the theory above. */
static bool unchanged(struct object *o, int rootfd)
{
	const bool deep = strchr(o->path, '/') != NULL;
	struct stat st;
	int err;

	if (!o->settled || o->round == o->store->round)
		return o->settled;
	o->round = o->store->round;
	err = deep ? fstatat(rootfd, o->path, &st, AT_SYMLINK_NOFOLLOW) : fstat(o->fd, &st);
	return err == 0 && st.st_ino == o->st.st_ino && st.st_dev == o->st.st_dev &&
	       st.st_nlink == o->st.st_nlink && st.st_size == o->st.st_size &&
	       same_time(&st.st_ctim, &o->st.st_ctim) && same_time(&st.st_mtim, &o->st.st_mtim);
}

static bool is_settled(const struct stat *st)
{
	struct timespec now;
	int64_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = (now.tv_sec - st->st_ctim.tv_sec) * NS_PER_S + now.tv_nsec - st->st_ctim.tv_nsec;
	return age > OBJECT_SETTLED_NS;
}

/* Regular, and for writing too if that can be had and is wanted. */
static int open_file(struct store *store, int rootfd, const char *path, bool *writable)
{
	struct stat st;
	int fd = -EACCES;

	*writable = false;
	if (store->write) {
		fd = confine_open_regular(rootfd, path, O_RDWR, &st);
		*writable = fd >= 0;
	}
	if (fd == -EACCES || fd == -EPERM || fd == -EROFS || fd == -ETXTBSY)
		fd = confine_open_regular(rootfd, path, O_RDONLY, &st);
	return fd;
}

/*
 * Opens, looks for the marker, and only then at the size: an object without a marker has its last
 * byte.
 */
static int open_object(struct store *store, struct site *site, const char *path, int64_t now_ns,
		       struct object **out)
{
	int rootfd = site_root(site, now_ns);
	cleanup_fd int fd = -1;
	struct object *o;
	uint64_t beat = 0;
	bool writable;
	struct stat st;
	int live;

	if (rootfd < 0)
		return rootfd;
	fd = open_file(store, rootfd, path, &writable);
	if (fd < 0)
		return fd;
	live = live_look(rootfd, path, &beat);
	if (fstat(fd, &st) < 0)
		return -errno;
	o = calloc(1, sizeof(*o) + strlen(path) + 1);
	if (!o)
		return -ENOMEM;
	o->store = store;
	o->site = site;
	o->generation = site->generation;
	o->st = st;
	o->live = live > 0;
	o->writable = writable;
	o->round = store->round;
	o->wd = -1;
	o->beat = beat;
	o->beat_ns = now_ns;
	o->settled = !o->live && is_settled(&st);
	o->given = release_given(fd, &st, store->write);
	o->type = mime_type(path);
	strcpy(o->path, path);
	list_init(&o->idle);
	list_init(&o->waiting);
	list_init(&o->living);
	o->fd = STEAL_FD(fd);
	*out = o;
	return 0;
}

/* Linux 5.14; our libc has no name for it yet. Without it nothing is sent from a mapping. */
#ifndef MADV_POPULATE_READ
#	define MADV_POPULATE_READ 22
#endif

static bool worth_mapping(const struct object *o)
{
	return !o->map && o->st.st_size > 0 && o->st.st_size <= OBJECT_MAP_MAX &&
	       o->st.st_blocks * 512 >= o->st.st_size;
}

static void map_object(struct object *o)
{
	void *map = mmap(NULL, (size_t)o->st.st_size, PROT_READ, MAP_SHARED, o->fd, 0);

	o->map = map == MAP_FAILED ? NULL : map;
}

/* Populates a step ahead of who sends in order; far ahead it would be a long wait for the others.
 */
static bool populate(struct object *o, int64_t to)
{
	int64_t size = OBJECT_MAP_STEP;

	if (to > o->populated + OBJECT_MAP_STEP)
		return false;
	if (size > o->st.st_size - o->populated)
		size = o->st.st_size - o->populated;
	if (madvise((char *)o->map + o->populated, (size_t)size, MADV_POPULATE_READ) < 0)
		return false;
	o->populated += size;
	return true;
}

void *object_mapping(struct object *o, int64_t at, size_t size)
{
	const int64_t to = at + (int64_t)size;

	if (!o->map || to > o->st.st_size || (to > o->populated && !populate(o, to)))
		return NULL;
	return (char *)o->map + at;
}

int store_get(struct store *store, struct site *site, const char *path, int64_t now_ns,
	      struct object **out)
{
	const unsigned hash = hash_of(site, path);
	struct object *known = find(store, site, path, hash), *o = NULL;
	int rootfd, err;

	if (!object_path_valid(path))
		return -ENOENT;
	rootfd = site_root(site, now_ns);
	if (known && !known->live && rootfd >= 0 && site->generation == known->generation &&
	    unchanged(known, rootfd)) {
		if (store->may_cache && worth_mapping(known))
			map_object(known);
		*out = hold(known);
		return 0;
	}
	err = open_object(store, site, path, now_ns, &o);
	/* Landlock's word for a space that was unmounted a moment ago. */
	if (err == -EACCES && site_moved(site))
		err = open_object(store, site, path, now_ns, &o);
	if (err) {
		if (known)
			object_forget(known);
		return err;
	}
	assert(o);
	/* A live object's readers share it, so that one look serves them all. */
	if (known && known->live && o->live && !known->broken && known->st.st_ino == o->st.st_ino &&
	    known->st.st_dev == o->st.st_dev) {
		o->live = false;
		destroy(o);
		object_look(known, now_ns);
		*out = hold(known);
		return 0;
	}
	if (known)
		object_forget(known);
	o->hash = hash;
	remember(o);
	if (o->live) {
		list_append(&store->living, &o->living);
		store->follow(o);
		/* What was written before inotify watched. */
		object_look(o, now_ns);
	}
	*out = hold(o);
	return 0;
}

static void stop_living(struct object *o)
{
	if (!o->live)
		return;
	o->live = false;
	list_remove(&o->living);
	o->store->unfollow(o);
}

void object_look(struct object *o, int64_t now_ns)
{
	const int64_t size = o->st.st_size;
	int rootfd = site_root(o->site, now_ns);
	uint64_t beat = o->beat;
	int live = rootfd < 0 ? rootfd : live_look(rootfd, o->path, &beat);

	if (!o->live)
		return;
	if (beat != o->beat) {
		o->beat = beat;
		o->beat_ns = now_ns;
	}
	/* In another file system's root its marker says nothing, nor does it not being there. */
	if (o->generation != o->site->generation)
		live = -ESTALE;
	if (fstat(o->fd, &o->st) < 0 || o->st.st_nlink == 0 || o->st.st_size < size || live < 0 ||
	    now_ns - o->beat_ns > LIVE_STALE_NS)
		o->broken = true;
	if (o->broken || live == 0)
		stop_living(o);
	if (!o->live || o->st.st_size != size)
		o->store->changed(o);
}

int64_t store_expire(struct store *store, int64_t now_ns)
{
	struct list *l;

	while ((l = list_first(&store->idle)) != NULL) {
		struct object *o = list_entry(l, struct object, idle);

		if (o->idle_ns + OBJECT_IDLE_NS > now_ns)
			return o->idle_ns + OBJECT_IDLE_NS;
		object_forget(o);
	}
	return 0;
}
