/*
 * The seek table: a skippable frame behind an object's other frames that tells where each begins,
 * in the Zstandard Seekable Format 0.1.0 (zstd's contrib/seekable_format). Who knows it
 * decompresses any range from the frame it lies in; to everybody else the object is zstd as always.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/stream.h"

#define SEEK_SKIPPABLE 0x184D2A5EU /* the magic number in front of the table */
#define SEEK_MAGIC     0x8F92EAB1U /* the last four bytes of the object */
#define SEEK_CHECKSUMS 0x80	   /* of the descriptor: entries have a checksum */
#define SEEK_RESERVED  0x7C	   /* of the descriptor: must be 0 */
#define SEEK_FOOTER    9	   /* bytes: number of frames, descriptor, magic number */

/* Bytes of content in one frame: the most that readers take. */
#define SEEK_FRAME_MAX ((uint64_t)1 << 30)

/* Frames in one table: the most that readers take. */
#define SEEK_FRAMES_MAX ((size_t)1 << 27)

struct seek_entry {
	uint32_t frame; /* bytes of the frame */
	uint32_t content;
	uint32_t checksum; /* the low half of XXH64 of the content: a frame's last four bytes */
};

struct seektable {
	struct seek_entry *entry; /* owned */
	size_t count, room;
	bool checksums;
};

/* One more frame. 0, -ENOMEM, or -EFBIG. */
int seektable_add(struct seektable *t, struct seek_entry entry);

/* Writes the table's frame and forgets the entries; nothing where there are none. Adds its bytes to
 * *out. 0, or what the sink said. */
int seektable_write(struct seektable *t, const struct sink *to, uint64_t *out);

void seektable_free(struct seektable *t);
