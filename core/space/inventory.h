/*
 * Which spaces this host has, read back from mountinfo each time: there is no file that says so,
 * and none that can be wrong. Takes no lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "space/name.h"

/* A space as the kernel has it now. Hundreds of them are held at once: no PATH_MAX for each. */
#define SPACE_PATH_MAX 512
struct space_info {
	struct space_name name;
	char path[SPACE_PATH_MAX]; /* of its root on this host */
	dev_t device;
	uint64_t size_bytes, used_bytes;
	uint64_t peak_bytes;	      /* the most that was ever used when somebody looked */
	uint64_t inodes, inodes_used; /* those of the reserved folders included */
	uint64_t all_bytes;	      /* the sizes of all spaces together: inventory_find() only */
	bool read_only;		      /* a destroy was killed half-way; resize heals it */
	bool noswap;
	char huge[16]; /* "" is never */
	char mpol[64]; /* "" is the process's own */
};

/*
 * Calls fn for each space beneath the run-time folder, in the order of their names. 0 (also where
 * there is no such folder), the first value other than 0 that fn returned, or -errno.
 */
int inventory_each(const char *runtime_dir, int (*fn)(const struct space_info *, void *),
		   void *context);

/* One space. 0, or -ENOENT with MN_ABSENT and all_bytes alone in *info; -errno. */
int inventory_find(const char *runtime_dir, const struct space_name *name, struct space_info *info,
		   struct mn_error *e);
