/*
 * A folder of our own for files that others make. It is locked (flock(2)) while its owner lives,
 * and the keeper of the command. Where both were killed, the next one to make such a folder removes
 * it.
 */
#pragma once

#include "base/error.h"

/*
 * Makes one in TMPDIR or /tmp, and removes those of the dead there. Its descriptor, which has the
 * lock, and *path, which the caller frees; or -errno and the error.
 */
int tempdir_open(char **path, struct mn_error *e);

/* Removes the folder `path` and all in it. */
void tempdir_remove(const char *path);
