/* One command at a time on one thing: an flock(2) that the kernel drops when its holder dies. */
#pragma once

#include <stdint.h>

#include "base/error.h"

/*
 * Locks the file `path` (made if need be), waiting at most wait_ns. A descriptor whose close
 * unlocks, or -errno; -EBUSY with MN_BUSY when another holds it.
 */
int lock_acquire(const char *path, int64_t wait_ns, struct mn_error *e);
