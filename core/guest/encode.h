/*
 * Streaming zstd; what goes out are pieces of SPACE_PIECE.
 *
 * Contexts and buffers are made once a run and used for every file, as base/cleanup.h wants it:
 * after the first file there is no malloc on the path.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "guest/stream.h"

struct encode_counts {
	uint64_t in;
	uint64_t out;
};

/*
 * Who says at what level the next stretch of input is compressed: called before each, with what of
 * this input was compressed so far and how much there is to come (or SOURCE_SIZE_UNKNOWN). Returns
 * the level, and how long the stretch is.
 */
struct encode_pacer {
	int (*next)(void *cookie, const struct encode_counts *done, uint64_t rest,
		    uint64_t *stretch);
	void *cookie;
};

struct encode_options {
	int level;	     /* zstd's; negative ones are --fast */
	int workers;	     /* threads that compress; 0: the caller's own does */
	int long_window;     /* log2 of the window of long-distance matching, 0: without */
	bool no_checksum;    /* leave the frame's checksum of the content out */
	int window_max;	     /* decoding: log2 of the largest window allowed, 0: zstd's default */
	uint64_t frame_size; /* content of each frame, with a seek table; 0: one frame */
	const struct encode_pacer *pacer; /* NULL: `level` throughout */
};

struct encoder;

/* 0, or -errno and the error; options that zstd refuses are MN_USAGE. */
int encoder_open(struct encoder **out, const struct encode_options *o, struct mn_error *e);
void encoder_close(struct encoder *z);

/*
 * All that `from` has, in one frame; with frame_size in frames of that much content. With a pacer
 * and no workers each stretch is a frame, because zstd changes the level within one only for its
 * workers. Counts are kept up to date while it runs, for progress. With
 * `flush` what came so far is written out whenever the source is slow (source_read() had to wait),
 * and without workers twice a second. 0 or -errno: what the source or the sink said, -EIO for an
 * error inside zstd. After a failure its frames are not in the seek table; nothing of it is in the
 * output where counts->out is 0 still and it was not the sink that failed.
 */
int encode(struct encoder *z, struct source *from, const struct sink *to, bool flush,
	   struct encode_counts *counts);

/*
 * Behind the last encode() into an output: the seek table of all its frames, where frame_size asks
 * for one. They are forgotten in any case.
 */
int encode_end(struct encoder *z, const struct sink *to, struct encode_counts *counts);

/*
 * The opposite, all frames. -EBADMSG: not zstd; -EPROTO: damaged; -EPIPE: it ends within a frame;
 * -EOVERFLOW: its window is larger than allowed. With
 * `pass_through` what does not begin as zstd does is copied instead.
 */
int decode(struct encoder *z, struct source *from, const struct sink *to, bool pass_through,
	   struct encode_counts *counts);

/* An -errno of encode(), decode() or frames_read() in words about the input `name`; the same. */
int encode_fail(const char *name, int err, struct mn_error *e);
