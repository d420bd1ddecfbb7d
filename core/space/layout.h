/*
 * The space, as both sides see it.
 *
 *	PATH                  objects: regular files, visible whole by rename, or live
 *	.memnet/part/ID       objects being written, of no use to anyone but their writer
 *	.memnet/live/NAME     one marker per live object (space/live.h)
 *	.memnet/jobs/ID.json  records, one per job (space/record.h)
 *	.memnet/pace          the host's word to the guest
 *	.memnet/lock          empty; jobs in the guest lock bytes of it among themselves
 *
 * The guest writes everything but `pace`. It may write anything anywhere, at any time: the host
 * opens through base/confine.h and believes nothing.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define SPACE_RESERVED ".memnet"
#define SPACE_PART     ".memnet/part"
#define SPACE_LIVE     ".memnet/live"
#define SPACE_JOBS     ".memnet/jobs"
#define SPACE_PACE     ".memnet/pace"
#define SPACE_LOCK     ".memnet/lock"

/* Where QEMU's security_model=mapped-file keeps modes and owners, in every folder. */
#define SPACE_VIRTFS ".virtfs_metadata"

/* The mount tag of a VM's pool, and where the guest mounts it by default. */
#define SPACE_TAG	"memnet"
#define SPACE_MOUNT_DIR "/mnt/memnet"

/* The most that is one write, and so one message of 9p (space/publish.h), in whole pages. */
#define SPACE_WRITE_MAX (480 * 1024)

/*
 * What the guest gathers before it writes, wherever the data allows: each write costs a round trip
 * to QEMU, and each piece or write another for the size (space/publish.h); 4 KiB pieces cost 60
 * times the CPU of 1 MiB ones. A space with less room than a piece counts as full. Whole writes: a
 * megabyte would take a third for its last 64 KiB.
 */
#define SPACE_PIECE (2 * SPACE_WRITE_MAX)

/* What stat(2) says of the size of an empty folder of a tmpfs; 20 bytes more for each entry. */
#define SPACE_FOLDER_SIZE 40

/*
 * Makes the reserved folders in the space whose root is open as `rootfd`, if need be, and gives
 * them to the root's owner. The host does this; the guest finds them. 0 or -errno: -ELOOP or
 * -ENOTDIR where the guest put something else in their place.
 */
int space_prepare(int rootfd);

/*
 * Gives the space whose root is open as `rootfd` to another user, its reserved folders included;
 * the lock of the jobs of the old one goes, objects stay with whom they are. Killed half-way, it
 * can be called again. 0 or -errno as space_prepare(), and the root is as it was.
 */
int space_give(int rootfd, uid_t uid, gid_t gid);

/*
 * Finds the space that the folder `dir` lies in: opens its root (O_PATH; the caller closes) and
 * writes the rest of the path, "" for the root itself, into `below`. -errno: -ENOENT when it is in
 * no space, -EACCES when it may not be looked into.
 */
int space_find(const char *dir, int *rootfd, char *below, size_t size);

/*
 * The same, with its SPACE_PART open too (O_PATH), which the caller closes. While it is open, a
 * guest's kernel does not ask for the folders on the way to it again.
 */
int space_find_part(const char *dir, int *rootfd, int *partfd, char *below, size_t size);

/* 0 if `rootfd` is a space's root (it has the reserved folders), -ENOENT if not, or -errno. */
int space_probe(int rootfd);
