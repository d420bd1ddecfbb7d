/*
 * One space on the host: made, resized, looked at, destroyed. The caller holds its pool's lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "space/inventory.h"
#include "space/tmpfs.h"

/* The smallest a space can be: its folders and one record of a job. */
#define SPACE_SIZE_MIN (64 * 1024)

/*
 * A guest's empty files cost the host about a kilobyte each that no size limits: so many inodes a
 * space gets where nobody asks for a number.
 */
uint64_t space_inodes_default(uint64_t size_bytes);

/*
 * Mounts a new space beneath the pool's root `poolfd` (pool_make()), owned as o->uid and o->gid
 * say, with its reserved folders: it appears whole. One of that name is covered by it: the caller
 * has looked (inventory_find()). 0 or -errno.
 */
int space_create(int poolfd, const struct space_name *name, const struct tmpfs_options *o,
		 struct mn_error *e);

/*
 * Changes size, inodes and mpol of a space; what is 0 or NULL in *o stays. Pages stay as they are:
 * memnet stream has to know whether they are huge. 0; -EINVAL with MN_REFUSED when it holds more;
 * or -errno.
 */
int space_resize(const struct space_info *info, const struct tmpfs_options *o, struct mn_error *e);

/* Gives a space to another user: QEMU's. 0 or -errno. */
int space_own(const struct space_info *info, uid_t uid, gid_t gid, struct mn_error *e);

/*
 * What a space holds: files outside of the reserved folder, and the sizes of regular ones; without
 * a limit, also the parts, which are objects being written. Stops at `limit` objects (0: never).
 * Folders more than SPACE_DEPTH_MAX deep count as one object each. 0 or -errno.
 */
#define SPACE_DEPTH_MAX 64
struct space_census {
	uint64_t objects;
	uint64_t bytes;
	uint64_t parts;
	uint64_t part_bytes;
	char first[256]; /* the path of one object, cut where it is longer */
};
int space_count(const struct space_info *info, uint64_t limit, struct space_census *census);

/*
 * Takes a space away. Unless forced, 0 only if it held no object: -EBUSY with MN_BUSY while a file
 * in it is open, -ENOTEMPTY with MN_REFUSED while objects are in it; nobody can slip one in between
 * the look and the removal; INT, TERM and HUP are dealt with after that. Forced: whatever is in it,
 * open or not. Or -errno.
 */
int space_destroy(const struct space_info *info, bool force, struct mn_error *e);

/* A process that has something in the space open: its name and number, or "". */
void space_holder(const struct space_info *info, char *buf, size_t size);
