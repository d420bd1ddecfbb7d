/*
 * What a zstd file says of itself, without decompressing it: the headers of its frames and blocks,
 * and its seek table. All of it is the word of whoever made the file: sizes are claims, and are
 * added up with a bound. Time is bounded by the file's size: blocks are skipped, and what is read
 * is read once, however small they are.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct frames {
	uint64_t frames; /* with content */
	uint64_t skippable;
	uint64_t bytes;	     /* of the file */
	uint64_t content;    /* as the headers say */
	bool unknown;	     /* a frame does not say, or the sum is nonsense */
	uint64_t window;     /* the largest */
	uint32_t dictionary; /* its id, 0: none, or not the same in all frames */
	uint64_t checked;    /* frames with a checksum */
	uint32_t checksum;   /* of the last of them */
	bool seekable;	     /* its last frame is a seek table that fits the frames before it */
};

/*
 * Reads the regular file `fd`. 0; -EBADMSG: it has something that is no frame; -EPIPE: it ends
 * within one; -EPROTO: a header that cannot be; or -errno.
 */
int frames_read(int fd, struct frames *f);
