/*
 * Ranges of the content of a seekable zstd object, one after another, decompressed piece by piece.
 *
 * A piece is a fraction of a millisecond's work, whatever the guest has written: who has others to
 * serve goes on with them in between. Only the frames that hold what is wanted are decompressed,
 * each from its beginning, or from where the range before has left it. A frame must give as much as
 * the table says, and end where the next one begins; one that is read to its end must have the
 * table's checksum: its last piece is handed out only then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/http_range.h"

#define UNPACK_PIECE (128 * 1024)

struct unpack;

/* For a file of that size. 0; -ENODATA: it is not seekable; -ENOMEM. */
int unpack_open(int fd, int64_t file_size, struct unpack **out);
void unpack_close(struct unpack *u);

/* The size of the content. */
int64_t unpack_size(const struct unpack *u);

/* Bytes of memory that decompressing will take, at most. */
int64_t unpack_memory(const struct unpack *u);

/*
 * Sets out for these ranges, RANGES_MAX at most. What is decompressed in vain, before a range in
 * its frame, is no more for all of them together than it can be for one, SEEKABLE_FRAME_MAX:
 * -E2BIG. 0; -EBADMSG: the table has changed.
 */
int unpack_plan(struct unpack *u, int fd, const struct byte_range *ranges, int count);

/* Gets the memory to decompress in. 0 or -ENOMEM. */
int unpack_start(struct unpack *u);

/* Begins with the next one of the ranges, if there is one. */
void unpack_next(struct unpack *u);

/* All of the range has been handed out. */
bool unpack_done(const struct unpack *u);

/*
 * Decompresses a piece into buf, of UNPACK_PIECE bytes. The number of bytes at *from that are of
 * the range: 0 if it has not got there yet; -EBADMSG: the object is not what it said.
 */
ssize_t unpack_piece(struct unpack *u, int fd, char *buf, const char **from);
