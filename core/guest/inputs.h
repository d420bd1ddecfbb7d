/* The list of inputs: operands, what lies below folders, and names from files. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct input {
	char *path; /* to open it; "-" is stdin */
	char *name; /* what an object made from it is called, without suffix: a part of `path` */
};

struct inputs {
	struct input *list;
	size_t count, room;
};

void inputs_free(struct inputs *in);

/*
 * Adds one path; its name is its last component. With `unread`, a folder stands for all regular
 * files below it, whose names begin with its last component: those that cannot be looked at are
 * skipped and counted there, and links are not followed. 0 or -errno.
 */
int inputs_add(struct inputs *in, const char *path, size_t *unread);

/* The same for each name in `file` ("-" is stdin), which end in `end`: '\n' or '\0'. */
int inputs_add_listed(struct inputs *in, const char *file, char end, size_t *unread,
		      struct mn_error *e);
