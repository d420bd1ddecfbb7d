/* All objects of a space, and the folders they are in, as far down as they are looked for. */
#pragma once

#include <stddef.h>
#include <sys/stat.h>

#define WALK_DEPTH_MAX 8

struct walk {
	void (*file)(struct walk *w, const char *path, const struct stat *st);
	/* NULL, or told of each folder before what is in it; `fd` is open for the call only. */
	void (*folder)(struct walk *w, int fd, const char *path);
	size_t names; /* so many may still be looked at: a guest may have made a million */
};

/* Visits what is in the folder `path` of the space, "" for all of it. */
void walk_space(struct walk *w, int rootfd, const char *path);
