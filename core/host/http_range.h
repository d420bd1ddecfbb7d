/* Byte ranges (RFC 9110, 14) and dates, as pure functions. */
#pragma once

#include <stdint.h>

#include "host/http_request.h"
#include "host/text.h"

/* The end of a range that asks for all there will ever be (RFC 8673, and any larger number). */
#define RANGE_FOREVER 9007199254740991LL

#define RANGES_MAX 32

/* [first, last], both included. */
struct byte_range {
	int64_t first, last;
};

/*
 * Reads a Range field for an object of `size` bytes. The number of ranges that can be had, in the
 * order asked for; 0 where the field is to be ignored: another unit, more than RANGES_MAX, more
 * bytes in sum than the object has, or the last ones of an object that is empty; -1 for 416: none
 * can be had, or it is not well formed (as nginx has it). With `growing`, the object will be longer
 * than `size`: a range without an end, or with RANGE_FOREVER for one, ends there, and its `first`
 * may be `size` itself; any other ends with what there is now, as RFC 9110 has it.
 */
int http_range_parse(struct http_text field, int64_t size, bool growing,
		     struct byte_range ranges[RANGES_MAX]);

/* The field that tells of one: "Content-Range: bytes 0-99/1000"; a size not known is -1, "*". */
void http_range_put(struct text *t, int64_t first, int64_t last, int64_t size);

/* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL. `seconds` since 1970, not negative. */
#define HTTP_DATE_MAX 30
void http_date_format(int64_t seconds, char buf[HTTP_DATE_MAX]);

/* Takes the form above and the two obsolete ones. Seconds since 1970, or -1. */
int64_t http_date_parse(struct http_text text);
