/*
 * Rates that many connections share: bytes are booked, and each booking says when they may be sent.
 *
 * Theory of operation. A rate is one number, the time at which all that was booked has been paid
 * for. Who books moves it on by what the bytes take, and may send them from where it was: bookings
 * come in turn, first come, first served, and no queue has to be kept or woken. What was not used
 * within the slack is lost: a pause is no credit. Any thread may book at any time.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

struct rate {
	_Atomic int64_t due_ns; /* of clock_ns() */
};

/* Books bytes at `bps` (> 0) bytes per second; < 0: gives a booking back. When they may be sent. */
int64_t rate_book(struct rate *r, uint64_t bps, int64_t bytes, int64_t now_ns, int64_t slack_ns);

#define RATES_CHAINS 256

/* One rate for each file that someone has open, whoever it is. */
struct rates {
	pthread_mutex_t lock;
	struct list chain[RATES_CHAINS];
};

struct file_rate {
	struct list link;
	struct rates *rates;
	dev_t dev;
	ino_t ino;
	unsigned refs;
	struct rate rate;
};

int rates_init(struct rates *rates); /* 0 or -errno */
void rates_fini(struct rates *rates);

/* The file's, to be put back; NULL: no memory. */
struct file_rate *rates_get(struct rates *rates, dev_t dev, ino_t ino);
void rates_put(struct file_rate *r);
