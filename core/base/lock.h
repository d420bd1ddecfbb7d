/* One command at a time on one thing: locks that the kernel drops when their holder dies. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Locks the file `path` (made if need be), waiting at most wait_ns. A descriptor whose close
 * unlocks, or -errno; -EBUSY with MN_BUSY when another holds it.
 */
int lock_acquire(const char *path, int64_t wait_ns, struct mn_error *e);

/*
 * Locks on single bytes of an open file (F_OFD_SETLK: they belong to the open file, not the
 * process, and go when its last descriptor does; the byte need not exist). On a 9p mount they hold
 * among all processes of that guest, and the host sees nothing of them.
 */

/* Takes the byte for this open file alone. 0, -EAGAIN when another has it, or -errno. */
int lock_byte(int fd, off_t byte);

/* The same, but together with others that take it so. */
int lock_byte_shared(int fd, off_t byte);

/* Gives it back. */
void unlock_byte(int fd, off_t byte);

/* Whether another open file holds the byte, alone or with others. */
bool lock_byte_held(int fd, off_t byte);
