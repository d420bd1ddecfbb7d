/*
 * What the jobs of a space do, as inotify and bounded looks tell it.
 *
 * Theory of operation. Edges (an object begun, one complete) come from inotify events, levels (how
 * many grow, how many are there to be delivered) from a census: a scan that is made only after
 * something has changed, and stops after so many names. So no level can drift, whatever events are
 * lost, and a guest with 10^6 files costs what one with some hundred does. Each space has a queue
 * of its own, which a guest that floods it overflows for itself alone.
 *
 * An object begins as `.memnet/part/ID.N` (space/publish.h). It is complete when that is renamed
 * to, or linked and unlinked for, a visible name; a live one when its marker goes while the object
 * is there. A file that somebody makes in plain sight, which memnet's own jobs never do, begins
 * when it is made and is complete when it is closed. What is published into a folder that was made
 * for it is known by its inode in the census. Bytes are known of what is still there when its event
 * is read; what came and went between two looks counts as large as the others before it. An inode
 * is removed once, whatever a guest links and unlinks, as long as it is among those remembered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/folder.h"
#include "space/name.h"

#define ACTIVITY_FOLDERS    32	 /* watched: the root and so many more */
#define ACTIVITY_GROWING    64	 /* live objects, and plain files being written, kept apart */
#define ACTIVITY_RECENT	    128	 /* complete objects whose size is remembered */
#define ACTIVITY_NAMES	    1024 /* looked at in one census */
#define ACTIVITY_FOLDER_MAX 200

/* Since the last activity_read(), but for the last two. */
struct activity_counts {
	unsigned int started, completed;
	double completed_bytes, completed_bytes2;
	uint64_t removed_bytes; /* of objects that are gone, as far as their size was known */
	bool lost;		/* there were more events than the queue takes */
	unsigned int growing;	/* now */
	unsigned int deliverable;
};

struct activity_folder {
	int wd;
	char path[ACTIVITY_FOLDER_MAX]; /* "" is the root */
};

struct activity_object {
	uint64_t hash; /* of its path; 0: it is gone from there */
	ino_t inode;
	uint64_t bytes; /* to be counted when it goes, once */
};

struct activity {
	int fd; /* inotify's; -1: none, and no edges */
	int part_wd, live_wd, jobs_wd;
	bool changed; /* the census is out of date */
	bool missing; /* a reserved folder is not there */
	bool records; /* something may be in jobs/: cleared by who takes it */
	bool unmounted;
	uint64_t space_bytes; /* its size: no object counts as larger; 0: not known */
	struct activity_folder folder[ACTIVITY_FOLDERS];
	unsigned int nfolders;
	uint64_t marker[ACTIVITY_GROWING], plain[ACTIVITY_GROWING];
	ino_t part[ACTIVITY_GROWING]; /* parts by their inodes, to know them again in any folder */
	unsigned int nmarkers, nplain, nparts, parts, deliverable;
	unsigned int unseen; /* parts that were renamed to where nobody looked */
	struct activity_object recent[ACTIVITY_RECENT];
	unsigned int nrecent; /* ever */
	unsigned int twice;   /* begun, by a part and by a link to it, of which one was told */
	uint32_t part_moved;  /* inotify's cookie of the last part that was renamed; 0: none */
	char linked[OBJECT_PATH_MAX + 1]; /* the last file made in sight; "": none */
	double known, known_bytes;	  /* complete objects, and the sum of their sizes */
	struct activity_counts counts;
};

/* Watches the space whose root is `rootfd`. 0, or -errno of inotify, and then it goes on without.
 */
int activity_open(struct activity *activity, int rootfd);
void activity_close(struct activity *activity);

/*
 * Whether a look at it needs its root open; reads what events there are, a bounded number, into a
 * buffer that all spaces share: activity_read() comes next.
 */
bool activity_pending(struct activity *activity);

/*
 * Takes the events read by activity_pending(), and a census if one is due; `reader` is anyone's to
 * use. What happened since the last call is in *counts. rootfd may be negative when nothing was
 * pending.
 */
void activity_read(struct activity *activity, int rootfd, struct folder_reader *reader,
		   struct activity_counts *counts);
