/*
 * A folder (guest/tempdir.h) in the guest's own memory or disk, where a command writes files of its
 * choice: the segments and playlists of a muxer. Each is handed out when it is complete, which is
 * when its writer closed it or renamed it into place, in the order that this happened; one whose
 * name ends in ".tmp" is not complete before it is renamed, or the command is done. It is not in
 * the space, because there the command itself would run into a full space, and would write in its
 * own small pieces, which 9p makes dear.
 *
 * A playlist comes behind the segments it names, though its writer replaces it meanwhile: it is
 * moved aside (guest/playlists.h), and then all comes before it that was complete by that time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "guest/playlists.h"
#include "space/name.h"

/* Found whole by a scan, not handed out yet. */
struct staging_found {
	struct staging_found *next;
	char name[];
};

struct staging {
	char *path;
	int dirfd; /* the folder, locked */
	int inotifyfd;
	char **folders; /* by watch descriptor, relative to `path`; "" is itself */
	size_t folder_count;
	bool rescan; /* there may be complete files that no event tells of */
	bool fresh;  /* some became known to be complete since the caller cleared this */
	struct staging_found *found;
	char *events; /* read, not looked at yet */
	size_t at, end;
	struct playlists playlists; /* not handed out yet */
	size_t due;		    /* bytes of events from before one was moved aside */
};

#define STAGING_INIT                                                                               \
	{                                                                                          \
		.dirfd = -1, .inotifyfd = -1                                                       \
	}

/* Makes it (guest/tempdir.h); ignores SIGIO (guest/claim.h). 0, or -errno and the error. */
int staging_open(struct staging *s, struct mn_error *e);

/* The memory or disk that the files in it take, in bytes. */
uint64_t staging_bytes(const struct staging *s);

/*
 * The next file that became complete, relative to the folder. 0, or -EAGAIN: none now (inotifyfd is
 * readable when that may have changed), or -errno: -ENAMETOOLONG for an object.
 */
int staging_next(struct staging *s, char name[OBJECT_PATH_MAX + 1]);

/*
 * When the command is done: any file that is still there, playlists last. 0, -ENOENT: none, or
 * -ENAMETOOLONG for an object.
 */
int staging_left(struct staging *s, char name[OBJECT_PATH_MAX + 1]);

/*
 * Takes a file that was handed out: a descriptor for reading, or -errno, -ENOENT where it has been
 * renamed or removed, or is no regular file. It is no more in the folder by its name, and is
 * removed by staging_drop().
 */
int staging_take(struct staging *s, const char *name);
int staging_drop(struct staging *s);

/* Removes the folder. Accepts one never opened. */
void staging_close(struct staging *s);
