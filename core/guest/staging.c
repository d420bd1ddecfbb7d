#include "guest/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define EVENTS_SIZE 65536

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

int staging_open(struct staging *s, struct mn_error *e)
{
	const char *tmp = getenv("TMPDIR");
	int err;

	*s = (struct staging){.inotifyfd = -1};
	if (asprintf(&s->path, "%s/memnet-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0)
		s->path = NULL;
	s->events = malloc(EVENTS_SIZE);
	if (!s->path || !s->events || !mkdtemp(s->path)) {
		err = mn_fail_errno(e, errno, "%s", s->path ? s->path : "staging folder");
		free(STEAL_PTR(s->path));
		staging_close(s);
		return err;
	}
	s->inotifyfd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	err = s->inotifyfd < 0 ? -errno : watch(s, "");
	if (err) {
		mn_fail_errno(e, -err, "%s: watching it", s->path);
		staging_close(s);
	}
	return err;
}

/* The file an event names is complete: 1. A new folder is watched. */
static int take_event(struct staging *s, const struct inotify_event *event,
		      char name[OBJECT_PATH_MAX + 1])
{
	const char *folder = NULL;
	int err;

	if (event->wd >= 0 && (size_t)event->wd < s->folder_count)
		folder = s->folders[event->wd];
	if (!folder || event->len == 0)
		return 0;
	err = join(folder, event->name, name);
	if (err)
		return err;
	if (event->mask & IN_ISDIR) {
		/* What was put there before the watch was is found by staging_left(). */
		err = watch(s, name);
		return err == -ENOENT ? 0 : err;
	}
	return (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0;
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

int staging_next(struct staging *s, char name[OBJECT_PATH_MAX + 1])
{
	for (;;) {
		struct inotify_event event;
		int err = s->at < s->end ? 0 : refill(s);
		const char *at = s->events + s->at;

		if (err)
			return err;
		memcpy(&event, at, sizeof(event));
		s->at += sizeof(event) + event.len;
		/* The name lies behind the header: the event itself must be passed. */
		err = take_event(s, (const struct inotify_event *)(const void *)at, name);
		if (err)
			return err < 0 ? err : 0;
	}
}

static bool is_playlist(const char *name)
{
	size_t len = strlen(name);

	return (len > 5 && strcmp(name + len - 5, ".m3u8") == 0) ||
	       (len > 4 && strcmp(name + len - 4, ".mpd") == 0);
}

/* nftw(3) takes no cookie. */
static struct {
	size_t root_length;
	char *name;
	bool playlists;
} walk;

static int walk_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const char *name = path + walk.root_length + 1;

	(void)at;
	if (type != FTW_F || !S_ISREG(st->st_mode) || is_playlist(name) != walk.playlists ||
	    strlen(name) > OBJECT_PATH_MAX)
		return 0;
	strcpy(walk.name, name);
	return 1;
}

int staging_left(struct staging *s, char name[OBJECT_PATH_MAX + 1])
{
	walk.root_length = strlen(s->path);
	walk.name = name;
	for (int playlists = 0; playlists < 2; playlists++) {
		walk.playlists = playlists;
		if (nftw(s->path, walk_file, 16, FTW_PHYS) == 1)
			return 0;
	}
	return -ENOENT;
}

int staging_file_open(const struct staging *s, const char *name)
{
	cleanup_free char *path = NULL;
	int fd, err = full_path(s, name, &path);

	if (err)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int staging_file_remove(const struct staging *s, const char *name)
{
	cleanup_free char *path = NULL;
	int err = full_path(s, name, &path);

	if (err)
		return err;
	return unlink(path) < 0 ? -errno : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

void staging_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void staging_close(struct staging *s)
{
	if (s->path)
		staging_remove(s->path);
	for (size_t i = 0; i < s->folder_count; i++)
		free(s->folders[i]);
	free(s->folders);
	free(s->events);
	free(s->path);
	cleanup_close(&s->inotifyfd);
	*s = (struct staging){.inotifyfd = -1};
}
