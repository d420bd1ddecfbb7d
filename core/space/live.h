/*
 * Live objects: served while they are written.
 *
 * Theory of operation. The writer makes a marker, `.memnet/live/NAME`, where NAME is the object's
 * path with '%' and '/' escaped, and only then gives the object its visible name. While it lives,
 * it writes the marker anew at least every LIVE_BEAT_NS (a byte in place: this needs no room, and
 * gives the marker the host's time). When the last byte is in the object, it removes the marker:
 * that declares the end, and the size the object has by then is its size. A writer that gives up
 * removes the object first and the marker second.
 *
 * So a reader that opened the object while its marker was there goes on until the marker is gone,
 * looks at the size once more, and is done; or finds the object unlinked, or the marker without a
 * beat for LIVE_STALE_NS of its own clock, and breaks off its client's connection. A writer that
 * finds its marker gone has been dropped by the host. The two orders,
 * marker before name and bytes before removal, are what makes a clean short body impossible; every
 * step is one system call that 9p carries out on the host's file system, in the order made.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVE_BEAT_NS  1000000000LL
#define LIVE_STALE_NS 10000000000LL

/* ".memnet/live/" and a name of at most 255 bytes and a NUL. */
#define LIVE_MARKER_MAX (13 + 255 + 1)

/* The marker's path in the space for the object `path`; -ENAMETOOLONG if that has no marker name.
 */
int live_marker_path(const char *path, char marker[LIVE_MARKER_MAX]);

/* The object's path for a marker's file name; -EINVAL if it is nobody's. */
int live_object_path(const char *name, char *path, size_t size);

/*
 * Writer: makes the marker and locks its first byte (base/lock.h), so that others in the same guest
 * can tell a live writer from a dead one. A dead one's is taken over: then not *made, and there may
 * be half an object behind it. A descriptor for live_beat(), or -errno; -EEXIST when another writes
 * that object live.
 */
int live_begin(int rootfd, const char *path, bool *made);

/* Writer: shows that it is alive. 0 or -errno. */
int live_beat(int markerfd);

/* Writer: declares the end, or gives up after it removed the object. 0 or -errno. */
int live_end(int rootfd, const char *path);

/*
 * Reader: whether the object's marker is there, and in *beat a number that changes with each beat.
 * 1, 0, or -errno.
 */
int live_look(int rootfd, const char *path, uint64_t *beat);
