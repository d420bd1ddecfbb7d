/*
 * Release by age or by need, without a client that asks: --release ttl and lru.
 *
 * An object's age counts from when it was last written or read, whichever is later: the file's own
 * times, as a reader that leaves sets its access time. So a restart forgets nothing. Live objects
 * and those that are being read are passed over. For `lru` a space is looked at when more than
 * SWEEP_HIGH percent of it is used, until SWEEP_LOW percent are.
 *
 * With --release delivered: what was given back in part and then left (release_abandon()).
 */
#pragma once

#include "host/release.h"
#include "host/site.h"

#define SWEEP_HIGH 90
#define SWEEP_LOW  80

/* So many names of a space are looked at in one sweep; a guest may have made a million. */
#define SWEEP_NAMES_MAX 65536

/* Removes what is older than ttl_ns. The number of objects removed. */
unsigned sweep_old(struct release *r, int rootfd, int64_t ttl_ns);

/* Removes what has been left for grace_ns; `site` is for the log. The number of objects removed. */
unsigned sweep_left(struct release *r, int rootfd, const char *site, int64_t now_ns,
		    int64_t grace_ns);

/* Removes the eldest while the space is too full. The number of objects removed. */
unsigned sweep_full(struct release *r, int rootfd);
