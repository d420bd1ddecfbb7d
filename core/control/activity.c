#include "control/activity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "space/layout.h"
#include "space/live.h"

/* At a guard interval of 200 ms this is some 3,000 events a second of one space, 1 ms a look. */
#define EVENTS_BUFFER 32768

#define ACTIVITY_WATCHES (ACTIVITY_FOLDERS + 3)

#define NAMES_MASK  (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)
#define FOLDER_MASK (NAMES_MASK | IN_CLOSE_WRITE)
#define JOBS_MASK   (IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR)

static char events[EVENTS_BUFFER] __attribute__((aligned(__alignof__(struct inotify_event))));
static ssize_t events_size;

/* FNV-1a: paths are told apart by it, and one that collides mistakes a size, no more. */
static uint64_t hash_of(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3u;
	return hash;
}

static bool set_has(const uint64_t set[], unsigned int n, uint64_t hash)
{
	for (unsigned int i = 0; i < n; i++) {
		if (set[i] == hash)
			return true;
	}
	return false;
}

static void set_add(uint64_t set[], unsigned int *n, uint64_t hash)
{
	if (*n < ACTIVITY_GROWING && !set_has(set, *n, hash))
		set[(*n)++] = hash;
}

static bool set_take(uint64_t set[], unsigned int *n, uint64_t hash)
{
	for (unsigned int i = 0; i < *n; i++) {
		if (set[i] == hash) {
			set[i] = set[--*n];
			return true;
		}
	}
	return false;
}

static bool is_part(const char *name)
{
	return strchr(name, '.') != NULL; /* "ID" is a job's page, which becomes its record */
}

static bool reserved(const char *name)
{
	return strcmp(name, SPACE_RESERVED) == 0 || strcmp(name, SPACE_VIRTFS) == 0;
}

/* ---- watches ---- */

static int watch_path(struct activity *a, int rootfd, const char *path, uint32_t mask)
{
	cleanup_fd int fd = confine_open(rootfd, path, O_RDONLY | O_DIRECTORY, 0);
	char link[32];

	if (fd < 0 || a->fd < 0)
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return inotify_add_watch(a->fd, link, mask);
}

static const struct activity_folder *folder_of(const struct activity *a, int wd)
{
	for (unsigned int i = 0; i < a->nfolders; i++) {
		if (a->folder[i].wd == wd)
			return &a->folder[i];
	}
	return NULL;
}

/* A folder that was there already has the same watch again, at no cost. */
static void watch_reserved(struct activity *a, int rootfd)
{
	a->part_wd = watch_path(a, rootfd, SPACE_PART, NAMES_MASK);
	a->live_wd = watch_path(a, rootfd, SPACE_LIVE, NAMES_MASK);
	a->jobs_wd = watch_path(a, rootfd, SPACE_JOBS, JOBS_MASK);
	a->missing = a->fd >= 0 && (a->part_wd < 0 || a->live_wd < 0 || a->jobs_wd < 0);
}

/* All that are watched now. */
static unsigned int watched(const struct activity *a, int wd[ACTIVITY_WATCHES])
{
	unsigned int n = 0;

	wd[n++] = a->part_wd;
	wd[n++] = a->live_wd;
	wd[n++] = a->jobs_wd;
	for (unsigned int i = 0; i < a->nfolders; i++)
		wd[n++] = a->folder[i].wd;
	return n;
}

/*
 * Of a folder that is where nobody looks any more the watch goes: a guest that shuffles folders
 * would use up all watches that the host's root may have.
 */
static void unwatch(struct activity *a, const int before[], unsigned int nbefore)
{
	int now[ACTIVITY_WATCHES];
	unsigned int n = watched(a, now);

	for (unsigned int i = 0; i < nbefore; i++) {
		bool stays = before[i] < 0;

		for (unsigned int k = 0; k < n; k++)
			stays |= now[k] == before[i];
		if (!stays)
			inotify_rm_watch(a->fd, before[i]);
	}
}

int activity_open(struct activity *a, int rootfd)
{
	memset(a, 0, sizeof(*a));
	a->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	a->changed = a->records = true;
	watch_reserved(a, rootfd);
	return a->fd < 0 ? -errno : 0;
}

void activity_close(struct activity *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/* ---- edges ---- */

static int object_stat(int rootfd, const char *path, struct stat *st)
{
	cleanup_fd int fd = confine_open(rootfd, path, O_PATH | O_NOFOLLOW, 0);

	if (fd < 0)
		return fd;
	return fstat(fd, st) < 0 || !S_ISREG(st->st_mode) ? -EINVAL : 0;
}

static bool take_part(struct activity *a, ino_t inode)
{
	for (unsigned int i = 0; i < a->nparts; i++) {
		if (a->part[i] == inode) {
			a->part[i] = a->part[--a->nparts];
			return true;
		}
	}
	return false;
}

/* Of a sparse file, or one of which parts are gone, no more than what the space can hold. */
static double counted_size(const struct activity *a, const struct stat *st)
{
	double size = (double)st->st_size, most = (double)a->space_bytes;

	return most > 0 && size > most ? most : size;
}

static void count_complete(struct activity *a, double size)
{
	a->counts.completed++;
	a->counts.completed_bytes += size;
	a->counts.completed_bytes2 += size * size;
}

/* It came and went between two looks, or went where nobody looks. */
static void complete_unknown(struct activity *a)
{
	count_complete(a, a->known > 0 ? a->known_bytes / a->known : 0);
}

/* What was known of an object of that name; of its inode stays known that it has been counted. */
static uint64_t forget(struct activity *a, uint64_t hash)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < ACTIVITY_RECENT; i++) {
		if (a->recent[i].hash != hash)
			continue;
		bytes += a->recent[i].bytes;
		a->recent[i].hash = a->recent[i].bytes = 0;
	}
	return bytes;
}

/* One inode is one object, by whatever names it goes: those of tmpfs do not come again. */
static void remember(struct activity *a, uint64_t hash, const struct stat *st)
{
	struct activity_object *known = NULL;
	uint64_t bytes = (uint64_t)st->st_blocks * 512;

	for (unsigned int i = 0; i < ACTIVITY_RECENT && !known; i++) {
		if (a->recent[i].inode == st->st_ino)
			known = &a->recent[i];
	}
	if (known)
		bytes = known->bytes;
	else
		known = &a->recent[a->nrecent++ % ACTIVITY_RECENT];
	forget(a, hash); /* one that it replaced: what that freed is in the use already */
	*known = (struct activity_object){hash, st->st_ino, bytes};
}

static void complete(struct activity *a, int rootfd, const char *path, uint64_t hash)
{
	struct stat st;
	double size;

	if (object_stat(rootfd, path, &st)) {
		complete_unknown(a);
		return;
	}
	size = counted_size(a, &st);
	a->known++;
	a->known_bytes += size;
	remember(a, hash, &st);
	take_part(a, st.st_ino);
	count_complete(a, size);
}

/* Renamed; and of the one before nobody has seen where it went. */
static void part_gone(struct activity *a, uint32_t cookie)
{
	a->unseen += a->part_moved != 0;
	a->part_moved = cookie;
}

static void part_event(struct activity *a, int rootfd, const struct inotify_event *ev)
{
	a->changed = true;
	if (!ev->len || !is_part(ev->name))
		return;
	if (ev->mask & IN_CREATE)
		a->counts.started++;
	else if (ev->mask & IN_MOVED_FROM)
		part_gone(a, ev->cookie);
	else if (ev->mask & IN_DELETE && a->linked[0]) {
		/* 9p knows no rename that spares a name: a link, and then the part goes. */
		uint64_t hash = hash_of(a->linked);

		if (set_take(a->plain, &a->nplain, hash)) {
			a->twice++;
			complete(a, rootfd, a->linked, hash);
		}
		a->linked[0] = '\0';
	}
}

static void marker_event(struct activity *a, int rootfd, const struct inotify_event *ev)
{
	char path[OBJECT_PATH_MAX + 1];
	uint64_t hash;

	a->changed = true;
	if (!ev->len || live_object_path(ev->name, path, sizeof(path)))
		return;
	hash = hash_of(path);
	if (ev->mask & (IN_CREATE | IN_MOVED_TO))
		set_add(a->marker, &a->nmarkers, hash);
	else if (set_take(a->marker, &a->nmarkers, hash))
		complete(a, rootfd, path, hash);
}

/* A file came into sight: made there, or renamed. */
static void appeared(struct activity *a, int rootfd, const struct inotify_event *ev,
		     const char *path, uint64_t hash)
{
	if (set_has(a->marker, a->nmarkers, hash)) {
		a->part_moved = 0; /* live: complete when its marker goes */
	} else if (ev->mask & IN_CREATE) {
		a->counts.started++;
		set_add(a->plain, &a->nplain, hash);
		snprintf(a->linked, sizeof(a->linked), "%s", path);
	} else if (ev->cookie == a->part_moved) {
		a->part_moved = 0;
		complete(a, rootfd, path, hash);
	}
}

static void disappeared(struct activity *a, uint64_t hash)
{
	set_take(a->marker, &a->nmarkers, hash); /* given up: the object goes before its marker */
	set_take(a->plain, &a->nplain, hash);
	a->counts.removed_bytes += forget(a, hash);
}

static void folder_event(struct activity *a, int rootfd, const struct activity_folder *folder,
			 const struct inotify_event *ev)
{
	char path[OBJECT_PATH_MAX + 1];
	uint64_t hash;
	int n;

	if (!ev->len || reserved(ev->name))
		return;
	a->changed = true;
	if (ev->mask & IN_ISDIR)
		return;
	n = snprintf(path, sizeof(path), "%s%s%s", folder->path, folder->path[0] ? "/" : "",
		     ev->name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return;
	hash = hash_of(path);
	if (ev->mask & (IN_CREATE | IN_MOVED_TO))
		appeared(a, rootfd, ev, path, hash);
	else if (ev->mask & (IN_DELETE | IN_MOVED_FROM))
		disappeared(a, hash);
	else if (ev->mask & IN_CLOSE_WRITE && set_take(a->plain, &a->nplain, hash))
		complete(a, rootfd, path, hash);
}

static void take_event(struct activity *a, int rootfd, const struct inotify_event *ev)
{
	const struct activity_folder *folder;

	if (ev->mask & (IN_Q_OVERFLOW | IN_UNMOUNT | IN_IGNORED)) {
		a->counts.lost |= (ev->mask & IN_Q_OVERFLOW) != 0;
		a->unmounted |= (ev->mask & IN_UNMOUNT) != 0;
		a->changed = a->records = true;
		if (ev->mask & IN_Q_OVERFLOW)
			a->nplain = 0; /* their ends may have been among what was lost */
		return;
	}
	if (ev->wd == a->part_wd)
		part_event(a, rootfd, ev);
	else if (ev->wd == a->live_wd)
		marker_event(a, rootfd, ev);
	else if (ev->wd == a->jobs_wd)
		a->records = true;
	else if ((folder = folder_of(a, ev->wd)))
		folder_event(a, rootfd, folder, ev);
}

bool activity_pending(struct activity *a)
{
	events_size = a->fd < 0 ? 0 : read(a->fd, events, sizeof(events));
	return events_size > 0 || a->changed || a->missing || a->fd < 0;
}

/* ---- levels ---- */

static void count_markers(struct activity *a, int rootfd, struct folder_reader *reader)
{
	char path[OBJECT_PATH_MAX + 1];
	struct folder_entry entry;

	a->nmarkers = 0;
	if (folder_open(reader, rootfd, SPACE_LIVE, ACTIVITY_GROWING) == 0) {
		while (folder_next(reader, &entry)) {
			if (live_object_path(entry.name, path, sizeof(path)) == 0)
				set_add(a->marker, &a->nmarkers, hash_of(path));
		}
	}
	folder_close(reader);
}

static void count_parts(struct activity *a, int rootfd, struct folder_reader *reader)
{
	struct folder_entry entry;

	a->parts = a->nparts = 0;
	if (folder_open(reader, rootfd, SPACE_PART, ACTIVITY_NAMES) == 0) {
		while (folder_next(reader, &entry)) {
			if (!is_part(entry.name))
				continue;
			a->parts++;
			if (a->nparts < ACTIVITY_GROWING)
				a->part[a->nparts++] = entry.inode;
		}
	}
	folder_close(reader);
}

static void add_folder(struct activity *a, int rootfd, const char *path)
{
	struct activity_folder *folder = &a->folder[a->nfolders];

	if (a->nfolders == ACTIVITY_FOLDERS || strlen(path) >= sizeof(folder->path))
		return;
	strcpy(folder->path, path);
	folder->wd = watch_path(a, rootfd, *path ? path : ".", FOLDER_MASK);
	a->nfolders++;
}

static void count_object(struct activity *a, int rootfd, const char *path, ino_t inode)
{
	uint64_t hash = hash_of(path);

	if (set_has(a->marker, a->nmarkers, hash) || set_has(a->plain, a->nplain, hash))
		return;
	a->deliverable++;
	if (take_part(a, inode)) {
		a->unseen -= a->unseen > 0;
		complete(a, rootfd, path, hash);
	}
}

/* One folder's objects; its own folders are put behind the others, to be looked at later. */
static unsigned int count_folder(struct activity *a, int rootfd, unsigned int i, unsigned int names,
				 struct folder_reader *reader)
{
	const char *above = a->folder[i].path;
	struct folder_entry entry;

	if (folder_open(reader, rootfd, *above ? above : ".", names))
		return 0;
	while (folder_next(reader, &entry)) {
		char path[OBJECT_PATH_MAX + 1];
		int n = snprintf(path, sizeof(path), "%s%s%s", above, *above ? "/" : "",
				 entry.name);

		if (reserved(entry.name) || n < 0 || (size_t)n >= sizeof(path))
			continue;
		if (entry.type == DT_DIR)
			add_folder(a, rootfd, path);
		else if (entry.type == DT_REG)
			count_object(a, rootfd, path, entry.inode);
	}
	return names - reader->left;
}

static void census(struct activity *a, int rootfd, struct folder_reader *reader)
{
	unsigned int names = ACTIVITY_NAMES;
	int before[ACTIVITY_WATCHES];
	unsigned int nbefore = watched(a, before);

	a->changed = false;
	watch_reserved(a, rootfd);
	count_markers(a, rootfd, reader);
	part_gone(a, 0);
	a->deliverable = a->nfolders = 0;
	add_folder(a, rootfd, "");
	for (unsigned int i = 0; i < a->nfolders && names; i++) {
		names -= count_folder(a, rootfd, i, names, reader);
		folder_close(reader);
	}
	unwatch(a, before, nbefore);
	for (; a->unseen; a->unseen--)
		complete_unknown(a);
	count_parts(a, rootfd, reader);
}

/* A link may have been told as a beginning before its part went: then the next one is not. */
static void take_back(struct activity *a)
{
	unsigned int n = a->twice < a->counts.started ? a->twice : a->counts.started;

	a->counts.started -= n;
	a->twice -= n;
}

void activity_read(struct activity *a, int rootfd, struct folder_reader *reader,
		   struct activity_counts *counts)
{
	if (rootfd < 0 && events_size > 0)
		a->changed = a->records = true; /* the space has just gone, or will be looked at */
	for (ssize_t at = 0; rootfd >= 0 && at < events_size;) {
		const struct inotify_event *ev = (const void *)(events + at);

		take_event(a, rootfd, ev);
		at += (ssize_t)(sizeof(*ev) + ev->len);
	}
	events_size = 0;
	if (rootfd >= 0 && (a->changed || a->missing || a->fd < 0))
		census(a, rootfd, reader);
	take_back(a);
	a->counts.growing = a->parts + a->nmarkers + a->nplain;
	a->counts.deliverable = a->deliverable;
	*counts = a->counts;
	a->counts = (struct activity_counts){0};
}
