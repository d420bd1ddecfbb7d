/*
 * Records: what a job in the guest tells the profiler on the host, one JSON file each, written
 * whole and renamed into `.memnet/jobs/`. Times are nanoseconds of the guest's monotonic clock,
 * which the host cannot compare with its own: only differences within one record mean anything.
 *
 * The host reads a record as it reads anything a guest wrote: once, into a bounded buffer, and
 * drops what is not exactly this.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RECORD_SCHEMA 1
#define RECORD_MAX    4096 /* bytes of one file; a page, so that a full space still takes it */
#define RECORD_ID_MAX 40

enum record_kind { RECORD_COMPRESS, RECORD_TRANSCODE };
enum record_status { RECORD_DONE, RECORD_FAILED, RECORD_INTERRUPTED };

struct record {
	char id[RECORD_ID_MAX + 1]; /* [A-Za-z0-9-], unique in the space; also the file's name */
	enum record_kind kind;
	enum record_status status;
	int64_t arrival_ns; /* when the job could have begun */
	int64_t start_ns;   /* when it began; >= arrival_ns */
	int64_t end_ns;	    /* when its last object was published; >= start_ns */
	int64_t blocked_ns; /* of end - start, waiting for room */
	int64_t cpu_ns;	    /* of this process and its children */
	int64_t bytes_in;
	int64_t bytes_out;
	int64_t objects;
	/* What a transcoder said of itself, where it said any of it; else 0. */
	int64_t frames;
	int64_t media_us;    /* of the stream it made */
	int64_t speed_milli; /* against real time, in thousandths */
};

/* Writes the JSON text, a NUL behind it. Its length, or -ENOSPC. */
int record_format(const struct record *r, char *buf, size_t size);

/*
 * Takes a record from `size` bytes. 0, or -EINVAL with *r undefined: a member is missing, of
 * another type, negative or past 2^53, the id is no id, or the times are out of order. The members
 * of a transcoder may be missing.
 */
int record_parse(const char *text, size_t size, struct record *r);
