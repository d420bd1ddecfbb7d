/*
 * Following live objects: who waits for one is woken when it grows, ends or breaks.
 *
 * inotify(7) watches the objects (written, unlinked) and each space's folder of markers (removed).
 * It watches the very files that are open, by /proc/self/fd, so that no name of the guest's is
 * resolved again. Twice a second everything is looked at anyway: for the beat of writers that may
 * have died, and for what inotify could not watch or had to drop.
 */
#pragma once

#include "base/loop.h"
#include "host/object.h"
#include "host/reload.h"

#define FOLLOW_TICK_NS 500000000LL

struct follow {
	struct watch watch;
	struct timer tick;
	struct loop *loop;
	struct store *store;
	struct sites *sites;
	struct reload reload; /* who waits for playlists: the same descriptor's events */
};

/* Looks at the store's live objects when they change, from then on. 0 or -errno. */
int follow_init(struct follow *f, struct loop *loop, struct store *store, struct sites *sites);
void follow_fini(struct follow *f);

/* For store->follow and store->unfollow. */
void follow_begin(struct follow *f, struct object *o);
void follow_end(struct follow *f, struct object *o);
