/*
 * Giving an object's memory back once it has been delivered.
 *
 * Theory of operation. Each response that sends an object's bytes is a reader of it, and says how
 * far its client's TCP has acknowledged them. The bytes from 0 to `front` have been delivered: a
 * reader counts towards that if it began at 0, or where a reader of the same address left off, or
 * at the end of what was already given back. When `front` is the size of a finished object and its
 * last reader has left, the object is unlinked. A reader that does not count still keeps what it
 * reads.
 *
 * An object met while it was live may be larger than its space, its writer waiting for room. So its
 * delivered part is punched out (fallocate(2)) while it is being read, up to where the slowest
 * reader is: `given`. Who asks for those bytes later is told that they are gone. That survives us:
 * a file with an attribute RELEASE_MARK is one that we gave bytes back of, and its hole in front
 * says how many. (Where the file system has no such attributes (tmpfs before Linux 6.6), any hole
 * in front is taken for ours while objects are being released, and none otherwise.)
 *
 * What has been given back in part can only be gone on with where it left off. If nobody does so
 * for a time, nobody ever will, and its writer would wait for room for ever: release_abandon()
 * removes such an object and its marker, which tells the writer (space/live.h). It counts as
 * abandoned, not as released.
 *
 * Punching drops whole pages, and lets whoever still reads one keep it. But the part of a huge page
 * that is punched the kernel overwrites with zeroes, in place; and what a client's TCP has
 * acknowledged and its program has not read yet is, over loopback or a veth, that very page
 * (tests/platform/punch_test.c). So what flows out of huge pages is sent by copy; and likewise what
 * is not on tmpfs: ext4 and XFS have large pages without a word.
 *
 * One table for all workers, one lock; nobody waits for it longer than for a fallocate(2).
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/list.h"

#define RELEASE_MARK "user.memnet.given"

/* Given back in steps of this size while bytes still flow; the rest when they pause.
 */
#define RELEASE_STEP (256 * 1024)

/* Delivered in part, and nobody there: so many are remembered of each file system. */
#define RELEASE_KEPT_MAX 1024

/* So many file systems have their bytes counted each by itself. */
#define RELEASE_SPACES_MAX 256

struct release {
	pthread_mutex_t lock;
	struct list holdings;
	bool delivered; /* what is delivered goes: give_back() and unlink are for that mode */
	uint64_t objects, bytes; /* given back so far */
	uint64_t abandoned;	 /* objects */
	struct {
		dev_t dev;
		uint64_t bytes;
	} space[RELEASE_SPACES_MAX]; /* of the bytes, those of each file system */
};

/* The address a client has, without its port. */
struct peer {
	uint8_t address[16];
};

struct holding;

struct reader {
	struct list link;
	struct holding *holding; /* NULL: none */
	int64_t acked;		 /* all bytes of the object before this one */
	bool counts;
	bool flows; /* what it has read may be punched out while it goes on reading */
};

int release_init(struct release *r, bool delivered);
void release_fini(struct release *r);

/* Bytes given back so far of the file system `dev`. */
uint64_t release_of(struct release *r, dev_t dev);

/* How many bytes in front of an open file have been given back; `releasing`: see above. */
int64_t release_given(int fd, const struct stat *st, bool releasing);

/*
 * A reader begins at `from`; `peer` NULL: it delivers nothing, and only keeps what it reads. 0;
 * -ENODATA where this has been given back, -ENOENT where the object was unlinked just now, -ENOMEM.
 */
int release_join(struct release *r, struct reader *reader, int fd, bool live, int64_t from,
		 const struct peer *peer);

/*
 * Its client has everything before `acked`. Gives back what can be if that is RELEASE_STEP, or
 * anything at all with `now`. The offset up to which the object has been given back.
 */
int64_t release_acked(struct release *r, struct reader *reader, int fd, int64_t acked, bool now);

/* What the last reader to leave needs to unlink the object. */
struct release_name {
	int rootfd; /* or negative: it is not to be had, do not unlink */
	int fd;
	const char *path;
	int64_t size; /* -1: not finished */
};

/* The reader leaves. True if the object has been unlinked. */
bool release_leave(struct release *r, struct reader *reader, const struct release_name *name);

/*
 * To be called now and then for an object that may have been given back in part: removes it, and
 * frees its memory whoever has it open, once nobody has read it for grace_ns since the first call
 * that saw it so. True if it did.
 */
bool release_abandon(struct release *r, int rootfd, const char *path, int fd, int64_t now_ns,
		     int64_t grace_ns);

/* Unlinks an object that nobody reads, if `path` still means the file *st is of. */
bool release_remove(struct release *r, int rootfd, const char *path, const struct stat *st);
