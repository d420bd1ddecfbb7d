/*
 * The pool of a VM, on the host: the folder RUNTIME/VM that QEMU exports, and the spaces in it.
 *
 * Theory of operation. The pool is a tmpfs of its own, mounted read-only, and each space a tmpfs
 * mounted on a folder in it. Read-only, because the guest sees the pool's root too, and whatever it
 * wrote there would be the host's memory without a limit; we make the folders through a second,
 * writable mount that exists nowhere in the tree. All of it is read back from mountinfo: there is
 * no file that says which spaces exist, so none that can be wrong. Whoever changes a pool holds its
 * lock; readers need none.
 *
 * QEMU opens the pool's root when its device is plugged. A pool mounted after that, or in another
 * mount namespace, is another folder to it: pool_seen_by() tells.
 */
#pragma once

#include <limits.h>
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
	uint64_t all_bytes;	      /* the sizes of all spaces together: pool_find() only */
	bool read_only;		      /* a destroy was killed half-way; resize heals it */
	bool noswap;
	char huge[16]; /* "" is never */
	char mpol[64]; /* "" is the process's own */
};

/*
 * Calls fn for each space beneath the run-time folder, in the order of their names. 0 (also where
 * there is no such folder), the first value other than 0 that fn returned, or -errno.
 */
int pool_each(const char *runtime_dir, int (*fn)(const struct space_info *, void *), void *context);

/* One space. 0, or -ENOENT with MN_ABSENT and all_bytes alone in *info; -errno. */
int pool_find(const char *runtime_dir, const struct space_name *name, struct space_info *info,
	      struct mn_error *e);

/* RUNTIME/VM, and RUNTIME/.qmp/VM.sock where QEMU's monitor is by default. 0 or -ENAMETOOLONG. */
int pool_path(const char *runtime_dir, const char *vm, char path[PATH_MAX]);
int pool_monitor_path(const char *runtime_dir, const char *vm, char path[PATH_MAX]);

/* Makes the run-time folder and what holds locks and sockets, if need be. 0 or -errno. */
int pool_runtime_make(const char *runtime_dir, struct mn_error *e);

/* Locks a VM's pool against other commands: lock_acquire(). */
int pool_lock(const char *runtime_dir, const char *vm, int64_t wait_ns, struct mn_error *e);

/*
 * Mounts the pool, if need be, and gives it to the user that QEMU runs as. The descriptor of its
 * root, or -errno. pool_remove() takes it away again if it holds no space and nobody uses it; 0, or
 * -EBUSY.
 */
int pool_make(const char *runtime_dir, const char *vm, uid_t uid, gid_t gid, struct mn_error *e);
int pool_remove(const char *runtime_dir, const char *vm);

/*
 * Removes the pools that hold no space and that nobody uses, of VMs that died after their last
 * space. The kernel refuses to unmount what a QEMU has open; pools at which a command works are
 * passed over.
 */
void pool_sweep(const char *runtime_dir);

/* The owner of the pool. 0, or -ENOENT when it is not mounted. */
int pool_owner(const char *runtime_dir, const char *vm, uid_t *uid, gid_t *gid);

/* Whether the pool is mounted. */
bool pool_mounted(const char *runtime_dir, const char *vm);

/*
 * Whether the process `pid` holds the very folder `path` open (the pool's root, by QEMU), and
 * whether it reaches the same thing by that path (a space, in its mount namespace). 1, 0 or -errno.
 */
int pool_held_by(pid_t pid, const char *path);
int pool_seen_by(pid_t pid, const char *path);

/*
 * Whether a folder keeps a user from coming to the absolute `path`: 1 with that folder in `barred`,
 * 0 or -errno. Only real root can ask for others.
 */
int pool_barred_to(uid_t uid, gid_t gid, const char *path, char barred[PATH_MAX]);
