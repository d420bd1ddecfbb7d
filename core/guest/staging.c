#include "guest/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "guest/claim.h"
#include "guest/tempdir.h"

#define EVENTS_SIZE 65536

/* The name in the folder of what is being published. */
#define TAKEN ".memnet-taken"

static int join(const char *folder, const char *name, char path[OBJECT_PATH_MAX + 1])
{
	int n = snprintf(path, OBJECT_PATH_MAX + 1, "%s%s%s", folder, *folder ? "/" : "", name);

	return n > OBJECT_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int full_path(const struct staging *s, const char *name, char **path)
{
	return asprintf(path, "%s/%s", s->path, name) < 0 ? -ENOMEM : 0;
}

/* Remembers which folder a watch descriptor stands for. */
static int remember(struct staging *s, int wd, const char *folder)
{
	size_t count = (size_t)wd + 1;

	if (count > s->folder_count) {
		char **folders = realloc(s->folders, count * sizeof(*folders));

		if (!folders)
			return -ENOMEM;
		memset(folders + s->folder_count, 0, (count - s->folder_count) * sizeof(*folders));
		s->folders = folders;
		s->folder_count = count;
	}
	free(s->folders[wd]);
	s->folders[wd] = strdup(folder);
	return s->folders[wd] ? 0 : -ENOMEM;
}

static int watch(struct staging *s, const char *folder)
{
	cleanup_free char *path = NULL;
	int wd, err = full_path(s, folder, &path);

	if (err)
		return err;
	wd = inotify_add_watch(s->inotifyfd, path,
			       IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR);
	return wd < 0 ? -errno : remember(s, wd, folder);
}

static int begin_watch(struct staging *s)
{
	s->events = malloc(EVENTS_SIZE);
	if (!s->events)
		return -ENOMEM;
	s->inotifyfd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	return s->inotifyfd < 0 ? -errno : watch(s, "");
}

int staging_open(struct staging *s, struct mn_error *e)
{
	int err;

	*s = (struct staging)STAGING_INIT;
	signal(SIGIO, SIG_IGN);
	s->dirfd = tempdir_open(&s->path, e);
	if (s->dirfd < 0)
		return s->dirfd;
	err = begin_watch(s);
	if (err) {
		mn_fail_errno(e, -err, "%s: watching it", s->path);
		staging_close(s);
	}
	return err;
}

static bool is_ours(const char *name)
{
	return strcmp(name, PLAYLISTS_ASIDE) == 0 || strcmp(name, TAKEN) == 0;
}

/*
 * What ffmpeg's muxers write before they rename it into place. They do that right behind the close,
 * but nothing bounds how long a busy machine makes of it; taken in between, the rename would fail.
 */
static bool is_temporary(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && strcmp(name + len - 4, ".tmp") == 0;
}

/* nftw(3) takes no cookie. */
static struct {
	struct staging *staging;
	size_t root_length;
	char *name;
	bool playlists; /* which files are meant */
	uint64_t bytes;
} walk;

static int walk_bytes(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path;
	(void)at;
	if (type == FTW_F)
		walk.bytes += (uint64_t)st->st_blocks * 512;
	return 0;
}

uint64_t staging_bytes(const struct staging *s)
{
	walk.bytes = 0;
	nftw(s->path, walk_bytes, 16, FTW_PHYS);
	return walk.bytes;
}

static const char *name_of(const char *path)
{
	return path + walk.root_length + 1;
}

/* Whether it is a file of the command's: 1 or 0, or -ENAMETOOLONG for an object. */
static int is_file(const char *path, const struct stat *st, int type)
{
	if (type != FTW_F || !S_ISREG(st->st_mode) || is_ours(name_of(path)))
		return 0;
	return strlen(name_of(path)) > OBJECT_PATH_MAX ? -ENAMETOOLONG : 1;
}

static int walk_left(const char *path, const struct stat *st, int type, struct FTW *at)
{
	int found = is_file(path, st, type);

	(void)at;
	if (found != 1)
		return found;
	if (playlists_match(name_of(path)) != walk.playlists)
		return 0;
	strcpy(walk.name, name_of(path));
	return 1;
}

/* What a walk says where it was ended by a callback's -errno. -1 is its own: a folder went away. */
static int walk_error(int result)
{
	return result < -1 ? result : 0;
}

/* Any file, or any playlist. 0, -ENOENT or -ENAMETOOLONG. */
static int find_left(const struct staging *s, bool playlists, char name[OBJECT_PATH_MAX + 1])
{
	int result;

	walk.root_length = strlen(s->path);
	walk.name = name;
	walk.playlists = playlists;
	result = nftw(s->path, walk_left, 16, FTW_PHYS);
	return result == 1 ? 0 : walk_error(result) ?: -ENOENT;
}

static int keep_found(struct staging *s, const char *name)
{
	size_t size = strlen(name) + 1;
	struct staging_found *found = malloc(sizeof(*found) + size);

	if (!found)
		return -ENOMEM;
	memcpy(found->name, name, size);
	found->next = s->found;
	s->found = found;
	return 0;
}

static int walk_whole(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const char *name = name_of(path);
	int found = is_file(path, st, type);

	(void)at;
	if (found != 1 || is_temporary(name) || !claim_whole_at(AT_FDCWD, path))
		return found < 0 ? found : 0;
	return playlists_match(name) ? playlists_add(&walk.staging->playlists, name)
				     : keep_found(walk.staging, name);
}

/* Finds all that is whole. */
static int scan(struct staging *s)
{
	walk.root_length = strlen(s->path);
	walk.staging = s;
	s->fresh = true;
	return walk_error(nftw(s->path, walk_whole, 16, FTW_PHYS));
}

static int walk_folder(const char *path, const struct stat *st, int type, struct FTW *at)
{
	size_t length = strlen(walk.staging->path);
	int err;

	(void)st;
	(void)at;
	if (type != FTW_D)
		return 0;
	err = watch(walk.staging, path[length] ? path + length + 1 : "");
	return err == -ENOENT ? 0 : err;
}

/*
 * Watches the folder and those below, for what was made there before the first watch. Files that
 * were complete by then draw no event: they are looked for.
 */
static int watch_below(struct staging *s, const char *folder)
{
	cleanup_free char *path = NULL;
	int err = full_path(s, folder, &path);

	if (err)
		return err;
	walk.staging = s;
	s->rescan = true;
	return walk_error(nftw(path, walk_folder, 16, FTW_PHYS));
}

/* The next of those: 1. 0: no more. */
static int next_scanned(struct staging *s, char name[OBJECT_PATH_MAX + 1])
{
	int err = s->rescan ? scan(s) : 0;
	cleanup_free struct staging_found *found = err ? NULL : s->found;

	if (!err)
		s->rescan = false;
	if (!found)
		return err;
	s->found = found->next;
	strcpy(name, found->name);
	return 1;
}

/* The file an event names is complete: 1, or 0 for a playlist. A new folder is watched. */
static int take_event(struct staging *s, const struct inotify_event *event,
		      char name[OBJECT_PATH_MAX + 1])
{
	const char *folder = NULL;
	int err;

	if (!(event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ISDIR | IN_Q_OVERFLOW)))
		return 0;
	if (event->mask & IN_Q_OVERFLOW) {
		err = watch_below(s, "");
		return err < 0 ? err : 0;
	}
	if (event->wd >= 0 && (size_t)event->wd < s->folder_count)
		folder = s->folders[event->wd];
	if (!folder || event->len == 0)
		return 0;
	err = join(folder, event->name, name);
	if (err)
		return err;
	if (event->mask & IN_ISDIR)
		return watch_below(s, name);
	if (is_ours(name)) { /* closed under this name, it may be back under its own */
		s->rescan |= (event->mask & IN_CLOSE_WRITE) != 0;
		return 0;
	}
	if (is_temporary(name))
		return 0;
	return playlists_match(name) ? playlists_add(&s->playlists, name) : 1;
}

static int refill(struct staging *s)
{
	ssize_t n = read(s->inotifyfd, s->events, EVENTS_SIZE);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	s->at = 0;
	s->end = (size_t)n;
	s->fresh = true;
	return 0;
}

/* As take_event(), of the next event. */
static int next_event(struct staging *s, char name[OBJECT_PATH_MAX + 1])
{
	int err = s->at < s->end ? 0 : refill(s);
	const char *at = s->events + s->at;
	struct inotify_event event;
	size_t size;

	if (err)
		return err;
	memcpy(&event, at, sizeof(event));
	size = sizeof(event) + event.len;
	s->at += size;
	s->due -= size < s->due ? size : s->due;
	/* The name lies behind the header: the event itself must be passed. */
	return take_event(s, (const struct inotify_event *)(const void *)at, name);
}

/* Moves the next playlist aside. What has happened by then is to be handed out before it. */
static int begin_playlist(struct staging *s)
{
	int bytes, err = playlists_set_aside(&s->playlists, s->dirfd);

	if (!err && ioctl(s->inotifyfd, FIONREAD, &bytes) < 0)
		err = -errno;
	if (!err)
		s->due = (size_t)bytes;
	s->fresh = true;
	return err;
}

int staging_next(struct staging *s, char name[OBJECT_PATH_MAX + 1])
{
	int err = 0;

	while (!err) {
		err = next_scanned(s, name);
		if (!err && s->playlists.aside && s->due == 0) {
			strcpy(name, s->playlists.aside);
			return 0;
		}
		if (!err && !s->playlists.aside && s->at == s->end && s->playlists.count > 0)
			err = begin_playlist(s);
		else if (!err)
			err = next_event(s, name);
	}
	return err < 0 ? err : 0;
}

int staging_left(struct staging *s, char name[OBJECT_PATH_MAX + 1])
{
	int err;

	playlists_put_back(&s->playlists, s->dirfd);
	err = find_left(s, false, name);
	return err == -ENOENT ? find_left(s, true, name) : err;
}

static bool is_regular(const struct staging *s, const char *name)
{
	struct stat st;

	return fstatat(s->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

int staging_take(struct staging *s, const char *name)
{
	char **aside = &s->playlists.aside;
	const bool waited = *aside && strcmp(name, *aside) == 0;
	const char *from = waited ? PLAYLISTS_ASIDE : name;
	struct stat st;
	int fd, err = is_regular(s, from) ? 0 : -ENOENT;

	if (!err && renameat(s->dirfd, from, s->dirfd, TAKEN) < 0)
		err = -errno;
	if (waited)
		free(STEAL_PTR(*aside));
	if (err)
		return err;
	fd = confine_open_regular(s->dirfd, TAKEN, O_RDONLY, &st);
	if (fd == -ELOOP || fd == -EINVAL) /* put there in that instant */
		return staging_drop(s) ?: -ENOENT;
	return fd;
}

int staging_drop(struct staging *s)
{
	return unlinkat(s->dirfd, TAKEN, 0) < 0 ? -errno : 0;
}

void staging_close(struct staging *s)
{
	if (s->path)
		tempdir_remove(s->path);
	for (size_t i = 0; i < s->folder_count; i++)
		free(s->folders[i]);
	free(s->folders);
	while (s->found) {
		struct staging_found *found = s->found;

		s->found = found->next;
		free(found);
	}
	playlists_close(&s->playlists);
	free(s->events);
	free(s->path);
	cleanup_close(&s->inotifyfd);
	cleanup_close(&s->dirfd);
	*s = (struct staging)STAGING_INIT;
}
