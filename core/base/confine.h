/*
 * Opening what a guest may have made.
 *
 * A guest owns every name in its spaces and changes them while we look, so that a path checked and
 * then opened may be another file by then. openat2(2) resolves in one step and refuses, in the
 * kernel, everything that leads out of the space: `..`, absolute paths, symbolic and magic links,
 * other mounts. FIFOs and devices still open, hence O_NONBLOCK, and fstat(2) on the descriptor, not
 * the name, decides what is let in. Linux 5.6.
 */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

/*
 * Opens `path` beneath `rootfd`; `mode` is for O_CREAT. O_CLOEXEC is added to `flags`, and without
 * O_PATH O_NOCTTY and O_NONBLOCK. A descriptor that the caller closes, or -errno: -EXDEV and -ELOOP
 * for what leads out.
 */
int confine_open(int rootfd, const char *path, int flags, mode_t mode);

/*
 * The same for an existing regular file; *st describes the very file opened. -EINVAL for anything
 * else.
 */
int confine_open_regular(int rootfd, const char *path, int flags, struct stat *st);
