#pragma once

#include <stdint.h>

/*
 * What a job tells the profiler, as taken from its record. Times are in nanoseconds on the host's
 * clock: the reader shifts the guest's clock so that the record's end is not after its arrival
 * here. Every field is the guest's word and may be anything.
 */
struct job_record {
	int64_t arrival_ns, start_ns, end_ns;
	uint64_t out_bytes;
	int64_t blocked_ns; /* waited for room */
};

enum record_verdict {
	RECORD_OK,
	RECORD_TIMES,	 /* not arrival <= start <= end, or before the beginning of time */
	RECORD_FUTURE,	 /* ended more than a second from now */
	RECORD_OLD,	 /* ended more than a minute ago, or began more than a day ago */
	RECORD_SIZE,	 /* wrote nothing, or more than the space may ever hold */
	RECORD_BLOCKED,	 /* waited for less than nothing or longer than it ran */
	RECORD_TOO_MANY, /* more records than the host saw objects completed */
	RECORD_NVERDICTS
};

/* "ok", "times", … for counters and logs. */
const char *record_verdict_name(enum record_verdict verdict);

/*
 * Records are admitted against completions the host itself counted: 1.2 for each, and a small
 * burst. The credit is capped, so a silent guest cannot save up for a flood.
 */
struct record_credit {
	double records;
};

void record_credit_init(struct record_credit *credit);
void record_credit_earn(struct record_credit *credit, uint64_t completed);

/* Judge one record at now_ns; a good one uses up credit. Pure but for that; safe for any bytes. */
enum record_verdict record_check(struct record_credit *credit, const struct job_record *record,
				 int64_t now_ns, uint64_t max_bytes);
