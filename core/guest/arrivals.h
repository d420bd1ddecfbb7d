/*
 * What lands in a folder: what is there, and then what inotify(7) tells. Each is only a name to
 * look at: it may be any kind of file, gone again, or not whole yet (guest/claim.h).
 */
#pragma once

#include <stdbool.h>

struct arrivals {
	int dirfd;   /* the folder, the owner's */
	int watchfd; /* readable when something landed; -1: not watched */
	bool gone;   /* the watched folder */
	int err;     /* the last -errno with an event; 0: none */
	int (*landed)(void *cookie, const char *name); /* 0 or -errno */
	void *cookie;
};

/* Watches the folder, whose path is `path`. 0 or -errno. */
int arrivals_watch(struct arrivals *a, const char *path);
void arrivals_close(struct arrivals *a);

/*
 * Tells of the regular files that are in the folder now but those whose name begins with a dot, the
 * oldest first. 0, or -errno, that of `landed` too.
 */
int arrivals_scan(struct arrivals *a);

/*
 * Tells of the files that were written, moved there or given other attributes since the last call,
 * or of all that are there where the kernel lost count. Nothing when it is not watched, or gone.
 */
void arrivals_take(struct arrivals *a);
