/*
 * A job: one run of the processing module against one space.
 *
 * Its id names everything it leaves behind until it ends: `.memnet/part/ID` is a page that becomes
 * its record, and `.memnet/part/ID.N` its parts. The page is written when the job starts, so that a
 * space that is full at the end still takes the record, and it is locked while the job lives. The
 * next job removes what is not locked: the kernel dropped the lock of one that was killed. Making a
 * file and locking it, and looking for unlocked ones, both happen under LOCK_HOUSE (guest/turn.h),
 * so that nothing new is ever seen unlocked.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "guest/room.h"
#include "guest/turn.h"
#include "space/name.h"
#include "space/record.h"

struct job {
	int rootfd; /* owned */
	int partfd; /* SPACE_PART and SPACE_LIVE, O_PATH */
	int livefd;
	int lockfd;   /* SPACE_LOCK */
	int pagefd;   /* the record's page */
	int parentfd; /* the folder `parent`, O_PATH; negative: none; see job_keep_parent() */
	unsigned parts;
	char below[OBJECT_PATH_MAX + 1]; /* the folder in the space that names are relative to */
	char parent[OBJECT_PATH_MAX + 1];
	struct room room;
	struct turn turn;
	struct record record; /* the caller keeps bytes and objects up to date */
};

/*
 * Starts a job in the space that `dir` lies in, waiting for room for its record; removes what
 * dead jobs left there, as far as this user may know. 0, or -errno and the error: MN_ABSENT when it
 * is in no space, MN_TIMEOUT.
 */
int job_begin(struct job *j, const char *dir, enum record_kind kind, int64_t max_wait_ns,
	      struct mn_error *e);

/* What space_find() or a job of the folder `dir` failed with, as the error to print; `err`. */
int job_refused(const char *dir, int err, struct mn_error *e);

/* Ends it: writes the record, or warns that it is lost and empties its id. Accepts a job that never
 * began. 0 or -errno. */
int job_end(struct job *j, enum record_status status);

/* LOCK_HOUSE, waited for no longer than for room. 0, -ETIMEDOUT, -EINTR on a request to stop. */
int job_lock(struct job *j);
void job_unlock(struct job *j);

/*
 * Keeps the folder open that the object `path` goes into, until the next one or job_renew(): a
 * guest's kernel walks there anew for each path, and has the way as long as somebody has the folder
 * open. Nothing is done through it; names are looked up from the root. False: it is not there.
 */
bool job_keep_parent(struct job *j, const char *path);

/* Whether any job, dead or alive, has a live object in the space, as far as is easily told. */
bool job_has_live(const struct job *j);

/*
 * Removes a dead job's live object of that name, with its marker; under job_lock(). 0, or -EEXIST
 * when another job writes it live.
 */
int job_free_name(struct job *j, const char *path);

/*
 * The host emptied the space: makes anew what the job needs there besides its objects, its page and
 * the lock file among it. A turn it had is over. 0, -ENOSPC: to be waited for; or -errno.
 */
int job_renew(struct job *j);

/* To be called now and then in a wait for room: sees whether others wait too (guest/room.h). */
void job_look_around(struct job *j);

/* Waits for one step where a call said -ENOSPC: 0 to try again, or -errno for good. */
int job_wait(struct job *j, int err, uint64_t want);
