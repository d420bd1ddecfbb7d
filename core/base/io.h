/* Reads and writes that finish, and small files taken whole. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Writes all of it, through interruptions and short writes. 0 or -errno. */
int io_write_all(int fd, const void *data, size_t size);

/* Reads until `size` bytes or the end of the file. The bytes read, or -errno. */
ssize_t io_read_full(int fd, void *data, size_t size);

/*
 * Reads a small file whole into `buf`, with a NUL behind. The bytes read; -EFBIG when it has
 * `size` bytes or more; else -errno. `path` is relative to `dirfd` as in openat(2); trusted files
 * only: what a guest may have made is opened through base/confine.h.
 */
ssize_t io_read_file(int dirfd, const char *path, char *buf, size_t size);

/* Whether both tell of one file with the same content, as far as its size and time can tell. */
bool io_same_content(const struct stat *a, const struct stat *b);
