/* The small files of /sys: one line, made anew whenever it is read from its start. */
#pragma once

#include <stddef.h>

/*
 * Reads the line of an open file, wherever its offset is, without the end of the line. 0; -EBADMSG
 * when there is none, or a NUL in it; -EFBIG when it has `size` bytes or more; else -errno.
 */
int attribute_read(int fd, char *buf, size_t size);

/* The same of a file beneath `dirfd`. */
int attribute_read_at(int dirfd, const char *path, char *buf, size_t size);
