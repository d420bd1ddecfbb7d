/* The mounts of our mount namespace, as the kernel tells them: proc_pid_mountinfo(5). */
#pragma once

#include <stdbool.h>

/* One line's fields that matter here. They are good for the call only, and may be written to. */
struct mountinfo {
	unsigned major, minor;
	char *path, *type, *source, *options; /* the options of the file system, not of the mount */
};

/*
 * Calls fn for each mount until it returns other than 0: that value, or 0, or -errno. Of two on one
 * folder the later one is on top.
 */
int mountinfo_each(int (*fn)(struct mountinfo *, void *), void *context);

/*
 * Whether it is a pool or a space, which tmpfs_make() made: beneath a run-time folder anybody may
 * have a tmpfs of their own.
 */
bool mountinfo_is_ours(const struct mountinfo *m);

/* Turns a path in mountinfo or /proc/mounts, "a\040b", into what it means, in place. */
void mountinfo_unescape(char *text);
