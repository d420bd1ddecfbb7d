#include "guest/arrivals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/notices.h"

struct found {
	struct timespec changed;
	char name[NAME_MAX + 1];
};

static int by_age(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->changed.tv_sec != y->changed.tv_sec)
		return x->changed.tv_sec < y->changed.tv_sec ? -1 : 1;
	if (x->changed.tv_nsec != y->changed.tv_nsec)
		return x->changed.tv_nsec < y->changed.tv_nsec ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The regular files in the folder; the caller frees. Their number, or -errno. */
static ssize_t list_files(int dirfd, struct found **list)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t count = 0, room = 0;
	struct dirent *entry;
	struct stat st;

	*list = NULL;
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (count == room) {
			struct found *more = realloc(*list, (2 * room + 16) * sizeof(**list));

			if (!more)
				return -ENOMEM;
			*list = more;
			room = 2 * room + 16;
		}
		(*list)[count].changed = st.st_ctim;
		strcpy((*list)[count++].name, entry->d_name);
	}
	return (ssize_t)count;
}

int arrivals_scan(struct arrivals *a)
{
	cleanup_free struct found *list = NULL;
	ssize_t count = list_files(a->dirfd, &list);
	int err = 0;

	if (count < 0)
		return (int)count;
	if (count > 0)
		qsort(list, (size_t)count, sizeof(*list), by_age);
	for (ssize_t i = 0; i < count && !err; i++)
		err = a->landed(a->cookie, list[i].name);
	return err;
}

int arrivals_watch(struct arrivals *a, const char *path)
{
	a->watchfd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (a->watchfd < 0 ||
	    inotify_add_watch(a->watchfd, path,
			      IN_CLOSE_WRITE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF |
				      IN_MOVE_SELF | IN_ONLYDIR) < 0)
		return -errno;
	return 0;
}

void arrivals_close(struct arrivals *a)
{
	cleanup_close(&a->watchfd);
	a->watchfd = -1;
}

static void take_event(void *cookie, const struct inotify_event *event)
{
	struct arrivals *a = cookie;
	int err = 0;

	if (event->mask & IN_Q_OVERFLOW)
		err = arrivals_scan(a);
	else if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
		a->gone = true;
	else if (!(event->mask & IN_ISDIR) && event->len > 0)
		err = a->landed(a->cookie, event->name);
	if (err)
		a->err = err;
}

/* Of a folder that is removed no event tells while we have it open. */
static bool is_removed(const struct arrivals *a)
{
	struct stat st;

	return fstat(a->dirfd, &st) == 0 && st.st_nlink == 0;
}

void arrivals_take(struct arrivals *a)
{
	if (a->watchfd < 0 || a->gone)
		return;
	notices_take(a->watchfd, take_event, a);
	a->gone |= is_removed(a);
}
