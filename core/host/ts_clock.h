/* When each byte of an MPEG transport stream is due, by its program clock reference (PCR). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TS_PACKET 188

/* The most that is looked through for one PCR (ISO/IEC 13818-1 wants one each 100 ms). */
#define TS_LOOK (1024 * TS_PACKET)

#define TS_ANY_PID (-1)

struct ts_pcr {
	int64_t at; /* offset of its packet */
	int64_t ns; /* 0 to 26.5 hours, then 0 again */
	int pid;
};

/* Whether this can be the beginning of a transport stream. */
bool ts_probe(const uint8_t *data, size_t size);

/*
 * Whether the file begins as a transport stream that can be paced. 1; 0: not enough of it is there
 * yet, which is only said of a growing one; -EINVAL: it is none; -ENODATA: it has no PCR within
 * TS_LOOK.
 */
int ts_begins(int fd, int64_t size, bool growing);

/* The first PCR of `pid` in whole packets that lie at offset `at` of the stream. */
bool ts_find_pcr(const uint8_t *data, size_t size, int64_t at, int pid, struct ts_pcr *pcr);

/* From one PCR to a later one: through the wrap, and -1 for what is a jump (over 10 s, or back). */
int64_t ts_elapsed_ns(const struct ts_pcr *from, const struct ts_pcr *to);

/* The span of a finished stream open as fd: first and last PCR. False: it has none. */
bool ts_span(int fd, int64_t from, int64_t size, struct ts_pcr *first, struct ts_pcr *last);

/* The offset of the last PCR not later than `ns` after the first one. */
int64_t ts_seek(int fd, const struct ts_pcr *first, int64_t size, int64_t ns);

/* Time since `first` in a stream without jumps. */
int64_t ts_since_ns(const struct ts_pcr *first, const struct ts_pcr *at);
