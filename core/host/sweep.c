#include "host/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/list.h"
#include "base/log.h"
#include "host/walk.h"
#include "space/live.h"

struct found {
	int64_t used_ns; /* when it was last written or read, of CLOCK_REALTIME */
	struct stat st;
	char *path;
};

struct finds {
	struct walk walk;
	struct found *found;
	size_t count, room;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return clock_file_ns(&t);
}

static void add(struct finds *w, const char *path, const struct stat *st)
{
	const int64_t written = clock_file_ns(&st->st_mtim), read = clock_file_ns(&st->st_atim);
	struct found *f;

	if (w->count == w->room) {
		const size_t room = w->room ? 2 * w->room : 256;
		struct found *grown = realloc(w->found, room * sizeof(*grown));

		if (!grown)
			return;
		w->found = grown;
		w->room = room;
	}
	f = &w->found[w->count];
	*f = (struct found){written > read ? written : read, *st, strdup(path)};
	w->count += f->path != NULL;
}

static void take_file(struct walk *walk, const char *path, const struct stat *st)
{
	add(list_entry(walk, struct finds, walk), path, st);
}

/* Those with holes only. */
static void take_holed(struct walk *walk, const char *path, const struct stat *st)
{
	if (st->st_blocks * 512 < st->st_size)
		take_file(walk, path, st);
}

static void find_all(struct finds *w, int rootfd,
		     void (*take)(struct walk *walk, const char *path, const struct stat *st))
{
	*w = (struct finds){.walk = {.file = take, .names = SWEEP_NAMES_MAX}};
	walk_space(&w->walk, rootfd, "");
}

static void finds_free(struct finds *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->found[i].path);
	free(w->found);
}

static bool remove_one(struct release *r, int rootfd, const struct found *f)
{
	uint64_t beat;

	return live_look(rootfd, f->path, &beat) == 0 && release_remove(r, rootfd, f->path, &f->st);
}

unsigned sweep_old(struct release *r, int rootfd, int64_t ttl_ns)
{
	const int64_t before = now_ns() - ttl_ns;
	struct finds w;
	unsigned removed = 0;

	find_all(&w, rootfd, take_file);
	for (size_t i = 0; i < w.count; i++)
		removed += w.found[i].used_ns < before && remove_one(r, rootfd, &w.found[i]);
	finds_free(&w);
	return removed;
}

unsigned sweep_left(struct release *r, int rootfd, const char *site, int64_t now_ns,
		    int64_t grace_ns)
{
	struct finds w;
	unsigned removed = 0;

	find_all(&w, rootfd, take_holed);
	for (size_t i = 0; i < w.count; i++) {
		const char *path = w.found[i].path;
		struct stat st;
		cleanup_fd int fd = confine_open_regular(rootfd, path, O_RDWR, &st);

		if (fd < 0 || !release_abandon(r, rootfd, path, fd, now_ns, grace_ns))
			continue;
		log_warn("/%s/%s: dropped: given back in part, and nobody has gone on with it for "
			 "%lld s",
			 site, path, (long long)(grace_ns / NS_PER_S));
		removed++;
	}
	finds_free(&w);
	return removed;
}

/* Blocks above `percent` of the space's size; negative: so many below. */
static int64_t excess(int rootfd, int percent)
{
	struct statvfs v;

	if (fstatvfs(rootfd, &v) < 0 || v.f_blocks == 0)
		return -1;
	return (int64_t)(v.f_blocks - v.f_bfree) - (int64_t)v.f_blocks * percent / 100;
}

static int by_use(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->used_ns < y->used_ns ? -1 : x->used_ns > y->used_ns;
}

unsigned sweep_full(struct release *r, int rootfd)
{
	struct finds w;
	unsigned removed = 0;

	if (excess(rootfd, SWEEP_HIGH) <= 0)
		return 0;
	find_all(&w, rootfd, take_file);
	if (w.count > 0)
		qsort(w.found, w.count, sizeof(*w.found), by_use);
	for (size_t i = 0; i < w.count && excess(rootfd, SWEEP_LOW) > 0; i++)
		removed += remove_one(r, rootfd, &w.found[i]);
	finds_free(&w);
	return removed;
}
