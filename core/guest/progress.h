/*
 * What ffmpeg -progress writes: `key=value` lines, a block of them every half second, each block
 * ending in `progress=continue` or `progress=end`. Any command may write the same; nothing it
 * writes is believed further than a number to show.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROGRESS_COUNT_MAX (1LL << 53) /* what a record's number holds (space/record.h) */

struct progress {
	int64_t frames;
	int64_t out_time_us; /* of the stream made so far */
	int64_t bytes;	     /* written so far, by its own account */
	double speed;	     /* against real time; 0: not told */
	bool ended;	     /* it said progress=end */
	unsigned blocks;     /* complete ones so far */
	char line[96];	     /* one that is not complete yet; longer ones are dropped */
	size_t used;
	bool skip;
};

/* Takes the next bytes, in whatever pieces they come. */
void progress_feed(struct progress *p, const char *data, size_t size);
