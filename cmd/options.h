/*
 * What an admin types: sizes, rates, durations, whole numbers, addresses. One parser each, used for
 * flags and configuration.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* Each returns 0, or -EINVAL with MN_USAGE and a message that quotes the text. */

/* "64K", "1.5G", "256MiB", "4096": bytes, binary multiples; K M G T, and B or iB behind. */
int parse_size(const char *text, uint64_t *bytes, struct mn_error *e);

/*
 * "2Mbit", "100MB", "1.5GB", each per second ("/s" allowed): bytes per second, decimal multiples,
 * at least 1. B is bytes; "Mb" is refused, being either to someone.
 */
int parse_rate(const char *text, uint64_t *bytes_per_s, struct mn_error *e);

/*
 * "500ms", "30s", "5m", "2h", "1d", or a plain number of seconds: nanoseconds, at
 * most 2^62, so that adding a time of clock_ns() cannot overflow.
 */
int parse_duration(const char *text, int64_t *ns, struct mn_error *e);

/* A whole number in [min, max]; `what` names it in the message: "number of threads". */
int parse_number(const char *text, const char *what, int64_t min, int64_t max, int64_t *value,
		 struct mn_error *e);

/* "ADDR:PORT", "[ADDR6]:PORT", ":PORT" or "PORT" for the loopback; addr gets no brackets. */
struct listen_address {
	char addr[64];
	uint16_t port; /* 0: the kernel chooses */
};
int parse_address(const char *text, struct listen_address *a, struct mn_error *e);

/* "17", "1.50G", "64.0M", "512K": three digits or so, binary; for people. buf holds 16 bytes. */
const char *format_size(uint64_t bytes, char buf[16]);
