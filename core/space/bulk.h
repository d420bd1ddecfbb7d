/*
 * A large write that stays one message of 9p.
 *
 * Theory of operation. Since Linux 6.8 (6.12 seen) a guest's 9p without a cache hands the pages of
 * a write on one by one, and each becomes a message: 120 of them for what was one. The pages of a
 * registered buffer (io_uring_register_buffers(2)) it takes as they are, and where those are one
 * huge page, as one. So there the bytes are copied into such a buffer and written from it.
 * MADV_COLLAPSE makes the huge page, also in guests whose kernel makes none by itself for lack of
 * memory. Where any of it is not to be had, it is a write(2) as any other: slow, and right.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Whether this kernel is of those, which may also say of a write to 9p that it took all when it did
 * not (space/publish.h).
 */
bool bulk_pretends(void);

/*
 * As write(2), to a file that is open with O_APPEND, of at most SPACE_WRITE_MAX bytes at a time. Of
 * threads that write at once, one has the buffer. Not after fork(2) in both processes.
 */
ssize_t bulk_write(int fd, const void *data, size_t size);
