/* One clock. Nanoseconds that only differences are taken of; tests put their own in its place. */
#pragma once

#include <stdint.h>
#include <time.h>

#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

/* CLOCK_MONOTONIC, or what clock_use() put in its place. */
int64_t clock_ns(void);

/* CPU time of this process, all threads. */
int64_t clock_cpu_ns(void);

/* Milliseconds from now until `deadline_ns`, rounded up, for poll(2); 0 when it has passed. */
int clock_left_ms(int64_t deadline_ns);

/*
 * A file's time, which a guest may have set to any: within 73 years of 1970, or the end of that, so
 * that the difference of two fits.
 */
int64_t clock_file_ns(const struct timespec *t);

/* For tests: every later clock_ns() asks `source`; NULL gives the real clock back. */
void clock_use(int64_t (*source)(void));
