#include "host/reload.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>

/* Renamed over: its link count changes, which is IN_ATTRIB. */
#define CHANGES (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)

struct held_file {
	struct list link, waiting;
	int wd;
};

void reload_init(struct reload *r, int inotifyfd)
{
	*r = (struct reload){.inotifyfd = inotifyfd};
	list_init(&r->files);
}

static void drop(struct reload *r, struct held_file *f, bool watched)
{
	if (watched)
		inotify_rm_watch(r->inotifyfd, f->wd);
	list_remove(&f->link);
	free(f);
}

void reload_fini(struct reload *r)
{
	struct list *l;

	while (r->files.next && (l = list_first(&r->files)) != NULL)
		drop(r, list_entry(l, struct held_file, link), false);
}

/* Forgets the files whose waiters have all left by themselves. */
static void prune(struct reload *r)
{
	for (struct list *l = r->files.next, *next; l != &r->files; l = next) {
		struct held_file *f = list_entry(l, struct held_file, link);

		next = l->next;
		if (list_empty(&f->waiting))
			drop(r, f, true);
	}
}

static struct held_file *find(struct reload *r, int wd)
{
	for (struct list *l = r->files.next; l != &r->files; l = l->next) {
		struct held_file *f = list_entry(l, struct held_file, link);

		if (f->wd == wd)
			return f;
	}
	return NULL;
}

static struct held_file *add(struct reload *r, int wd)
{
	struct held_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->wd = wd;
	list_init(&f->link);
	list_init(&f->waiting);
	list_append(&r->files, &f->link);
	return f;
}

int reload_hold(struct reload *r, int fd, struct list *waiting)
{
	struct held_file *f;
	char path[32];
	int wd;

	prune(r);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	wd = inotify_add_watch(r->inotifyfd, path, CHANGES);
	if (wd < 0)
		return -errno;
	f = find(r, wd);
	if (!f)
		f = add(r, wd);
	if (!f)
		return -ENOMEM;
	list_append(&f->waiting, waiting);
	return 0;
}

static void wake(struct reload *r, struct held_file *f, bool watched)
{
	r->wake(&f->waiting);
	drop(r, f, watched);
}

void reload_event(struct reload *r, int wd, uint32_t mask)
{
	struct held_file *f = find(r, wd);
	struct list *l;

	if (f)
		wake(r, f, !(mask & IN_IGNORED));
	while ((mask & IN_Q_OVERFLOW) && (l = list_first(&r->files)) != NULL)
		wake(r, list_entry(l, struct held_file, link), true);
}
