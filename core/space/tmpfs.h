/*
 * tmpfs through the mount API of descriptors (fsopen, fsconfig, fsmount, fspick: Linux 5.2, with
 * nosymfollow 5.10, mount_setattr 5.12). A bare MS_REMOUNT would drop nosuid, nodev and noexec and
 * would not say why it failed; a context's descriptor gives the kernel's own reason.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* What /proc/mounts says is mounted, of each tmpfs made here. */
#define TMPFS_SOURCE "memnet"

/* What is 0, NULL or false is left to the kernel when made, and as it is when reconfigured. */
struct tmpfs_options {
	uint64_t size_bytes;
	uint64_t inodes;
	const char *huge; /* never, always, within_size, advise */
	const char *mpol; /* as tmpfs(5): "bind:0", "interleave", … */
	bool noswap;	  /* when made only; Linux 6.4 */
	uid_t uid;	  /* of the root, when made only */
	gid_t gid;
	mode_t mode;
};

/*
 * A new tmpfs, mounted nosuid, nodev, noexec and nosymfollow, but nowhere yet: the descriptor of
 * its root, gone with it unless tmpfs_place() is called. Or -errno.
 */
int tmpfs_make(const struct tmpfs_options *o, struct mn_error *e);

/* Puts the mount `mountfd` on the folder `name` in `dirfd`. 0 or -errno. */
int tmpfs_place(int mountfd, int dirfd, const char *name, struct mn_error *e);

/*
 * Changes size, inodes, huge and mpol of the tmpfs whose root is open as `rootfd`, and makes it
 * writable again. 0; -EINVAL with MN_REFUSED when it holds more than fits; or -errno.
 */
int tmpfs_reconfigure(int rootfd, const struct tmpfs_options *o, struct mn_error *e);

/* Makes the whole tmpfs read-only. 0; -EBUSY while a file is open for writing; or -errno. */
int tmpfs_freeze(int rootfd, struct mn_error *e);

/* Undoes tmpfs_freeze(). 0 or -errno. */
int tmpfs_thaw(int rootfd, struct mn_error *e);

/* Makes this one mount read-only, whatever others of the same tmpfs are. 0 or -errno. */
int tmpfs_protect(int mountfd);

/* A writable mount, nowhere in the tree, of what is mounted read-only at `rootfd`; or -errno. */
int tmpfs_writable_clone(int rootfd);

/* Takes away what is mounted on `path`; lazily: also while it is in use. 0 or -errno. */
int tmpfs_unmount(const char *path, bool lazily);
