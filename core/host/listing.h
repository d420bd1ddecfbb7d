/* A folder's list, as HTML or JSON. */
#pragma once

#include <stdbool.h>

#include "host/text.h"

/*
 * Lists the folder `path` (relative, "" for the root, a '/' at its end allowed) of the space open
 * as `rootfd` (negative: -errno) into body->buf, to be freed; `url` is what it was asked for by.
 * Regular files and folders, none that is never served, LISTING_MAX at most, and no more after
 * LISTING_BYTES: a guest may have made a million, with names of what is long to write. 0 or -errno.
 */
#define LISTING_MAX   4096
#define LISTING_BYTES (1 << 20)
int listing_format(int rootfd, const char *path, const char *url, bool json, struct text *body);
