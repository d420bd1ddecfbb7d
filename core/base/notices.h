/* What inotify(7) has to say. */
#pragma once

#include <sys/inotify.h>

/*
 * Hands each event that a descriptor of inotify_init1(IN_NONBLOCK) has to `take`, in order, until
 * there is none left. `take` may add watches and remove them. The event is good for the call only;
 * its name, if it has one (`len`), ends with a NUL.
 */
void notices_take(int fd, void (*take)(void *cookie, const struct inotify_event *ev), void *cookie);
