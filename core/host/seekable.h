/*
 * The seek table of a zstd object: a skippable frame at its end that says where each frame begins,
 * in the Zstandard Seekable Format 0.1.0 (zstd's contrib/seekable_format).
 *
 * The guest wrote it, and may write to it at any time: every entry is checked whenever it is read,
 * and what it says of a frame is only believed when that has been decompressed (host/unpack.h).
 */
#pragma once

#include <stdint.h>

/*
 * What is taken at most: so much content in a frame, as all of it before a range is decompressed
 * for nothing, and so many frames, as all entries are read for each request (in about 1 ms).
 */
#define SEEKABLE_FRAME_MAX  (32U << 20)
#define SEEKABLE_FRAMES_MAX (256U * 1024)

struct seekable {
	int64_t size;	     /* of the content */
	int64_t packed_size; /* of all frames; the table is behind them */
	uint32_t frames;
	uint32_t entry_size; /* 12 with checksums, 8 without */
	uint32_t largest;    /* the most content that a frame has */
};

/* All zeroes: the one before the first. */
struct seekable_frame {
	uint32_t next;	       /* the number of the one behind it */
	int64_t at, packed_at; /* where it begins, in the content and in the file */
	uint32_t size, packed_size;
	uint32_t checksum; /* the low half of XXH64 of its content, where entries have one */
};

/* Reads the table of a file of that size. 0; -ENODATA: it has none, or none that is taken. */
int seekable_open(int fd, int64_t file_size, struct seekable *s);

/*
 * The frame that the content's byte `at` is in, looked for from *frame on, which was found in the
 * same table and does not begin behind that byte. 0, or -EBADMSG: the table has changed.
 */
int seekable_find(int fd, const struct seekable *s, int64_t at, struct seekable_frame *frame);

/* The next frame that is not empty. 0, or -EBADMSG: there is none, or the table has changed. */
int seekable_next(int fd, const struct seekable *s, struct seekable_frame *frame);
