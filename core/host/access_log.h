/*
 * The access log: one line per response, in nginx's "combined" form or as JSON.
 *
 * A line is begun when its request is read, as only then its words are there, and ended with its
 * response. Lines gather in the worker's buffer and are written once per turn of its loop, by one
 * write(2) to a file open for appending: lines of several workers stay whole.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/http_request.h"
#include "host/release.h"

#define LOG_BUFFER (12 * HTTP_HEAD_MAX + 1024)

struct access_lines {
	size_t size;
	char buf[LOG_BUFFER];
	bool failed; /* which has been told */
};

struct access_end {
	int status;
	uint64_t bytes; /* of the body */
	int64_t took_ns;
	bool complete;
};

/* The request's part of the line, to be freed; NULL without memory. */
char *access_log_begin(const struct http_request *r, const struct peer *peer, bool json);

/* Adds the line; `begun` may be NULL (nothing is added). False: flush first, then again. */
bool access_log_end(struct access_lines *lines, const char *begun, const struct access_end *end,
		    bool json);

/* Writes what there is. A log that cannot be written costs its lines and a word, nothing else. */
void access_log_flush(struct access_lines *lines, int fd);
