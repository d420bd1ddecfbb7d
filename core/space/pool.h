/*
 * The pool of a VM, on the host: the folder RUNTIME/VM that QEMU exports, and the spaces in it.
 *
 * Theory of operation. The pool is a tmpfs of its own, mounted read-only, and each space a tmpfs
 * mounted on a folder in it. Read-only, because the guest sees the pool's root too, and whatever it
 * wrote there would be the host's memory without a limit; we make the folders through a second,
 * writable mount that exists nowhere in the tree. What there is, is read back from mountinfo
 * (space/inventory.h). Whoever changes a pool holds its lock; readers need none.
 *
 * QEMU opens the pool's root when its device is plugged. A pool mounted after that, or in another
 * mount namespace, is another folder to it: space/reach.h tells.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* RUNTIME/VM, and RUNTIME/.qmp/VM.sock where QEMU's monitor is by default. 0 or -ENAMETOOLONG. */
int pool_path(const char *runtime_dir, const char *vm, char path[PATH_MAX]);
int pool_monitor_path(const char *runtime_dir, const char *vm, char path[PATH_MAX]);

/* Makes the run-time folder and what holds locks and sockets, if need be. 0 or -errno. */
int pool_runtime_make(const char *runtime_dir, struct mn_error *e);

/* Locks a VM's pool against other commands: lock_acquire(). */
int pool_lock(const char *runtime_dir, const char *vm, int64_t wait_ns, struct mn_error *e);

/*
 * Mounts the pool, if need be, and gives it to the user that QEMU runs as. The descriptor of its
 * root, or -errno; -EEXIST with MN_BUSY where another file system is mounted there. pool_remove()
 * takes it away again if it holds no space and nobody uses it; 0, -EBUSY or another -errno.
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
