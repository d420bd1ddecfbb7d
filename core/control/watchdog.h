/*
 * A dead controller leaves no space that chokes its VM.
 *
 * Theory of operation. A child of the controller waits on a pipe. When the controller dies, by
 * whatever, the kernel closes the other end, and the child gives each space the size that the
 * controller last wrote for that case into memory they share. It holds the locks of the spaces
 * meanwhile (descriptors it inherited), so that a new controller does not begin before it has
 * ended. A controller that ends of its own will writes a byte first: then the child just goes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "control/place.h"

#define WATCHDOG_SPACES_MAX 256

/* What to do with one space. */
struct watchdog_row {
	dev_t device;	     /* of the space that it was meant for */
	uint64_t size_bytes; /* 0: leave it */
};

struct watchdog_table;

struct watchdog {
	pid_t pid; /* 0: none */
	int pipefd;
	struct watchdog_table *table; /* shared */
	size_t nspaces;
};

/*
 * Starts the child for these places, which it keeps a copy of; descriptors other than the standard
 * ones and keepfds[0 .. nspaces) are closed in it. 0 or -errno with *e.
 */
int watchdog_start(struct watchdog *watchdog, const char *runtime_dir, struct place *const places[],
		   const int keepfds[], size_t nspaces, struct mn_error *e);

/* From now on these are the sizes, and their sum shall be within budget_bytes (0: no budget). */
void watchdog_tell(struct watchdog *watchdog, const struct watchdog_row rows[],
		   uint64_t budget_bytes);

/* Whether it was started and its child lives no more: it is to be stopped, and started anew. */
bool watchdog_died(struct watchdog *watchdog);

/* The child ends without doing anything. Accepts one never started. */
void watchdog_stop(struct watchdog *watchdog);

/*
 * What the child does, also for a controller that ends: shrinks first, and grows as far as the
 * budget allows by the sizes that the spaces really have. It waits at most wait_ns for another
 * command that is at work on a pool. The number of spaces resized.
 */
unsigned int watchdog_apply(const char *runtime_dir, struct place *const places[],
			    const struct watchdog_row rows[], size_t nspaces, uint64_t budget_bytes,
			    int64_t wait_ns);

/*
 * Resizes a space under its pool's lock, unless that is held for longer than wait_ns: -EBUSY. One
 * that has been filled beyond *size_bytes since it was looked at is shrunk to little more than it
 * holds instead, and *size_bytes is that. 0 or -errno.
 */
int place_resize(const char *runtime_dir, const struct place *place, uint64_t *size_bytes,
		 int64_t wait_ns);
