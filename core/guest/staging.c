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
#include "base/rename.h"
#include "guest/claim.h"
#include "guest/tempdir.h"

#define EVENTS_SIZE 65536

/* Names of ours in the folder: a playlist that waits, and what is being published. */
#define ASIDE ".memnet-aside"
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

static bool is_playlist(const char *name)
{
	size_t len = strlen(name);

	return (len > 5 && strcmp(name + len - 5, ".m3u8") == 0) ||
	       (len > 4 && strcmp(name + len - 4, ".mpd") == 0);
}

static bool is_ours(const char *name)
{
	return strcmp(name, ASIDE) == 0 || strcmp(name, TAKEN) == 0;
}

/* nftw(3) takes no cookie. */
static struct {
	size_t root_length;
	char *name;
	bool playlists, whole; /* which files are meant */
	uint64_t bytes;
	struct staging *staging;
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

static bool file_whole(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && claim_whole(fd, &st);
}

/* The name of a file that is meant, or NULL. */
static const char *meant(const char *path, const struct stat *st, int type)
{
	const char *name = path + walk.root_length + 1;

	if (type != FTW_F || !S_ISREG(st->st_mode) || strlen(name) > OBJECT_PATH_MAX ||
	    is_ours(name) || is_playlist(name) != walk.playlists)
		return NULL;
	return !walk.whole || file_whole(path) ? name : NULL;
}

static int walk_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const char *name = meant(path, st, type);

	(void)at;
	if (name)
		strcpy(walk.name, name);
	return name != NULL;
}

/* Any file, or any that is whole. 0 or -ENOENT. */
static int find_file(const struct staging *s, bool playlists, bool whole,
		     char name[OBJECT_PATH_MAX + 1])
{
	walk.root_length = strlen(s->path);
	walk.name = name;
	walk.playlists = playlists;
	walk.whole = whole;
	return nftw(s->path, walk_file, 16, FTW_PHYS) == 1 ? 0 : -ENOENT;
}

/* ---- playlists, which wait for their segments ---- */

static int add_playlist(struct staging *s, const char *name)
{
	char **grown;

	for (size_t i = 0; i < s->playlist_count; i++)
		if (strcmp(s->playlists[i], name) == 0)
			return 0;
	grown = realloc(s->playlists, (s->playlist_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->playlists = grown;
	grown[s->playlist_count] = strdup(name);
	return grown[s->playlist_count] ? (s->playlist_count++, 0) : -ENOMEM;
}

static int walk_playlist(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const char *name = meant(path, st, type);

	(void)at;
	return name ? add_playlist(walk.staging, name) : 0;
}

static int add_playlists(struct staging *s)
{
	walk.root_length = strlen(s->path);
	walk.staging = s;
	walk.playlists = walk.whole = true;
	return nftw(s->path, walk_playlist, 16, FTW_PHYS) < -1 ? -ENOMEM : 0;
}

/* Renames a file of the folder. 0 or -errno. */
static int move(const struct staging *s, const char *from, const char *to, bool replace)
{
	cleanup_free char *old = NULL, *new = NULL;
	int err = full_path(s, from, &old);

	if (!err)
		err = full_path(s, to, &new);
	if (err)
		return err;
	if (replace)
		return rename(old, new) < 0 ? -errno : 0;
	return rename_new(AT_FDCWD, old, AT_FDCWD, new);
}

/* Gives the one that is aside its name back, unless there is a newer one. */
static void put_back(struct staging *s)
{
	if (s->aside)
		(void)move(s, ASIDE, s->aside, false);
	free(STEAL_PTR(s->aside));
}

static bool is_whole(const struct staging *s, const char *name)
{
	cleanup_free char *path = NULL;

	return full_path(s, name, &path) == 0 && file_whole(path);
}

/*
 * Moves the next playlist aside. What has happened by then is to be handed out before it. One that
 * is removed or written again is left: that it is closed will be an event.
 */
static int set_aside(struct staging *s)
{
	cleanup_free char *name = s->playlists[0];
	int bytes, err;

	s->playlist_count--;
	memmove(s->playlists, s->playlists + 1, s->playlist_count * sizeof(*s->playlists));
	if (!is_whole(s, name))
		return 0;
	err = move(s, name, ASIDE, true);
	if (err)
		return err == -ENOENT ? 0 : err;
	s->aside = STEAL_PTR(name);
	if (!is_whole(s, ASIDE)) /* opened in that instant */
		put_back(s);
	if (ioctl(s->inotifyfd, FIONREAD, &bytes) < 0)
		return -errno;
	s->due = (size_t)bytes;
	return 0;
}

/* ---- what comes next ---- */

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
	err = nftw(path, walk_folder, 16, FTW_PHYS);
	return err < -1 ? err : 0; /* -1: it is gone again */
}

/* The next of those: 1. 0: no more. */
static int next_scanned(struct staging *s, char name[OBJECT_PATH_MAX + 1])
{
	if (!s->rescan)
		return 0;
	if (find_file(s, false, true, name) == 0)
		return 1;
	s->rescan = false;
	return add_playlists(s);
}

/* The file an event names is complete: 1, or 0 for a playlist. A new folder is watched. */
static int take_event(struct staging *s, const struct inotify_event *event,
		      char name[OBJECT_PATH_MAX + 1])
{
	const char *folder = NULL;
	int err;

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
	if (!(event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)))
		return 0;
	return is_playlist(name) ? add_playlist(s, name) : 1;
}

static int refill(struct staging *s)
{
	ssize_t n = read(s->inotifyfd, s->events, EVENTS_SIZE);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	s->at = 0;
	s->end = (size_t)n;
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

int staging_next(struct staging *s, char name[OBJECT_PATH_MAX + 1])
{
	int err = 0;

	while (!err) {
		err = next_scanned(s, name);
		if (!err && s->aside && s->due == 0) {
			strcpy(name, s->aside);
			return 0;
		}
		if (!err && !s->aside && s->at == s->end && s->playlist_count > 0)
			err = set_aside(s);
		else if (!err)
			err = next_event(s, name);
	}
	return err < 0 ? err : 0;
}

int staging_left(struct staging *s, char name[OBJECT_PATH_MAX + 1])
{
	put_back(s);
	if (find_file(s, false, false, name) == 0)
		return 0;
	return find_file(s, true, false, name);
}

int staging_take(struct staging *s, const char *name)
{
	const bool waited = s->aside && strcmp(name, s->aside) == 0;
	cleanup_free char *path = NULL;
	int fd, err = move(s, waited ? ASIDE : name, TAKEN, true);

	if (waited)
		free(STEAL_PTR(s->aside));
	if (!err)
		err = full_path(s, TAKEN, &path);
	if (err)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int staging_drop(struct staging *s)
{
	cleanup_free char *path = NULL;
	int err = full_path(s, TAKEN, &path);

	if (err)
		return err;
	return unlink(path) < 0 ? -errno : 0;
}

void staging_close(struct staging *s)
{
	if (s->path)
		tempdir_remove(s->path);
	for (size_t i = 0; i < s->folder_count; i++)
		free(s->folders[i]);
	free(s->folders);
	for (size_t i = 0; i < s->playlist_count; i++)
		free(s->playlists[i]);
	free(s->playlists);
	free(s->aside);
	free(s->events);
	free(s->path);
	cleanup_close(&s->inotifyfd);
	cleanup_close(&s->dirfd);
	*s = (struct staging)STAGING_INIT;
}
