/* What other processes and users come to, of the folders of ours: a pool, a space, a socket. */
#pragma once

#include <limits.h>
#include <sys/types.h>

/*
 * Whether the process `pid` holds the very folder `path` open (the pool's root, by QEMU), and
 * whether it reaches the same thing by that path (a space, in its mount namespace). 1, 0 or -errno.
 */
int reach_held_by(pid_t pid, const char *path);
int reach_seen_by(pid_t pid, const char *path);

/*
 * Another process that holds the very folder `path` open, for a QEMU whose process is not known. 0
 * if none does; -EPERM where that cannot be told, for we do not see every process; or -errno.
 */
pid_t reach_holder(const char *path);

/*
 * Whether a folder keeps a user from coming to the absolute `path`: 1 with that folder in `barred`,
 * 0 or -errno. Only real root can ask for others.
 */
int reach_barred_to(uid_t uid, gid_t gid, const char *path, char barred[PATH_MAX]);
