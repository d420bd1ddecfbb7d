/*
 * Objects that are open, one worker's.
 *
 * Theory of operation. An object is opened by its name, confined to its space, and from then on is
 * its descriptor: what happens to the name later concerns later requests. Between requests it may
 * stay open in a bounded cache. That a cached object still is what its name means is asked of the
 * kernel for each request, by an fstat(2) of the descriptor: a rename over the name or an unlink
 * changes the link count, a rename of the file itself its ctime, a write its mtime. ctime can be as
 * coarse as a timer tick, so only what has not changed for OBJECT_SETTLED_NS when it was opened is
 * cached, as git does it for its index. A rename of a folder changes nothing in the files beneath:
 * for objects that are not at the root of their space the name is asked after instead, by
 * fstatat(2). Should that go by a link that was planted since, it finds another file, or the very
 * one that was opened without. The kernel is asked once in a round
 * (store_round()): whoever asked for the object meanwhile had asked when the round began.
 *
 * Cached objects are let go after OBJECT_IDLE_NS without a request: an open file keeps its memory
 * when the guest removes it, and its space from being unmounted.
 *
 * A cached object that is asked for again is mapped, to be sent from there (host/sender.h). Only
 * the kernel may read the mapping, in sendmsg(2) and vmsplice(2): where a guest has truncated the
 * file, that is EFAULT, but a SIGBUS for us. One with holes is not mapped: looking into a hole by a
 * mapping fills it, at the space's cost. So are objects while they are to be released, which are
 * not cached.
 *
 * A live object (space/live.h) is one whose marker was there after it was opened. It is shared by
 * all its readers and looked at when inotify says that it has changed (host/follow.h); one that
 * ends is looked at once more after its marker is gone, and then is as any other.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/list.h"
#include "host/site.h"

#define OBJECT_SETTLED_NS 20000000LL
#define OBJECT_IDLE_NS	  1000000000LL
#define OBJECT_CACHE_MAX  1024
#define OBJECT_COPY_MAX	  (64 * 1024)	 /* sent from the mapping by a copy */
#define OBJECT_MAP_MAX	  (1024LL << 20) /* 2 MiB of page tables */
#define OBJECT_MAP_STEP	  (2 << 20)	 /* populated at a time, in a fraction of a millisecond */

struct file_rate;

struct object {
	struct object *next; /* of its hash chain */
	struct list idle;    /* among the store's cached ones without readers */
	struct store *store;
	struct site *site;
	unsigned hash, refs;
	unsigned generation; /* the site's, when it was opened */
	bool hashed;	     /* the name still means this, as far as we know */
	bool settled;	     /* may be cached */
	bool live;
	bool broken;   /* live, and its writer has died or given up */
	bool writable; /* fd is */
	int fd;
	int wd;		 /* inotify's, while it is live; -1: none */
	struct stat st;	 /* as of the last look */
	int64_t given;	 /* its first bytes up to here have been given back (host/release.h) */
	unsigned round;	 /* the store's, when it was last asked after */
	int64_t idle_ns; /* since when */
	uint64_t beat;	 /* live: the marker's, and when it last changed */
	int64_t beat_ns;
	struct list waiting;	/* live: who waits for more (struct conn's `waiting`) */
	struct list living;	/* live: among the store's live ones */
	const char *type;	/* its media type */
	void *map;		/* all of it, of a cached one that is asked for again; or NULL */
	struct file_rate *rate; /* all clients' of this file together; NULL: not limited yet */
	int64_t populated;	/* of it, from its beginning */
	char path[];
};

struct store {
	struct object **chain;
	unsigned chains; /* a power of two */
	unsigned cached;
	unsigned round;
	bool may_cache;	  /* not while objects are to be released */
	bool write;	  /* open for writing where permitted, to give memory back */
	struct list idle; /* oldest first */
	struct list living;
	/* Called for an object that has just become live, and one that no longer is. */
	void (*follow)(struct object *o);
	void (*unfollow)(struct object *o);
	/* For a live object that was seen to have grown, ended or broken, whoever looked: its
	 * readers may be waiting. It must put back no object. */
	void (*changed)(struct object *o);
};

/* 0 or -ENOMEM. */
int store_init(struct store *store, bool may_cache, bool write);
void store_fini(struct store *store);

/*
 * The object at `path` in the site, as it is at this moment, in *out; the caller puts it back. 0,
 * or -errno: -ENOENT, -ENOTDIR, -EXDEV, -ELOOP: nothing there for a client; -EINVAL: no
 * regular file; -EMFILE and -ENOMEM are ours.
 */
int store_get(struct store *store, struct site *site, const char *path, int64_t now_ns,
	      struct object **out);
void object_put(struct object *o, int64_t now_ns);

/* What was true of the cached objects may not be any more: time has passed. */
static inline void store_round(struct store *store)
{
	store->round++;
}

/*
 * Where the object's bytes from `at` on are in memory, for the kernel to read; NULL: they are not
 * mapped, or were truncated.
 */
void *object_mapping(struct object *o, int64_t at, size_t size);

/*
 * Looks at a live object again: its size, whether it has ended (o->live goes), whether it has
 * broken. Tells store->changed if so.
 */
void object_look(struct object *o, int64_t now_ns);

/* Closes what has been idle for OBJECT_IDLE_NS; when to call next, 0 for never. */
int64_t store_expire(struct store *store, int64_t now_ns);

/* Its name means something else now, or nothing. */
void object_forget(struct object *o);
