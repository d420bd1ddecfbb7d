/*
 * Where a space is, looked at without being held: an open root, even for a moment longer than a
 * look, would make `memnet share destroy` find it busy.
 *
 * A look is stat(2) and statfs(2) by path, 3 microseconds. What counts as a space is a tmpfs that
 * is mounted on RUNTIME/VM/SPACE; another device there is another space.
 */
#pragma once

#include <stdbool.h>

#include "space/inventory.h"

struct place {
	struct space_info info; /* name and path; size, use and device as of the last look */
	bool present;
	ino_t inode; /* of the root */
};

enum place_state {
	PLACE_ABSENT,
	PLACE_NEW, /* it was not there at the last look, or it is another one */
	PLACE_SAME,
};

/* 0 or -ENAMETOOLONG. */
int place_init(struct place *place, const char *runtime_dir, const struct space_name *name);

/* Looks at it now. */
enum place_state place_look(struct place *place);

/* What is there at the next look is new: it has been unmounted meanwhile. */
void place_forget(struct place *place);

/*
 * Its root, for the caller to close before he returns to the event loop; -ENOENT if what was last
 * looked at is there no more, or another -errno.
 */
int place_open(const struct place *place);
