/*
 * Requests that are held until a file changes: those for a playlist's next segment.
 *
 * Theory of operation. A file is watched by inotify(7) under the descriptor of host/follow.h, from
 * when the first request is held for it. It need not be kept open: a watch holds the inode, and no
 * file system from being unmounted. Whatever happens to the file (written, closed, another one
 * renamed over it, removed, its file system gone), all who are held for it are woken once, look for
 * themselves what is there by that name now, and may be held again. Each of them must look once
 * more after reload_hold(), for what happened before the watch.
 */
#pragma once

#include <stdint.h>

#include "base/list.h"

struct reload {
	int inotifyfd;
	struct list files;
	void (*wake)(struct list *waiting); /* to be set; takes every element out */
};

void reload_init(struct reload *r, int inotifyfd);
void reload_fini(struct reload *r);

/* Appends `waiting` to those who are held for the open file. 0 or -errno. */
int reload_hold(struct reload *r, int fd, struct list *waiting);

/* An inotify event, also one for something else. IN_Q_OVERFLOW wakes all. */
void reload_event(struct reload *r, int wd, uint32_t mask);
