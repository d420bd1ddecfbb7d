/* The parts of a multipart/byteranges response (RFC 9110, 14.6): what stands between ranges. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "host/http_range.h"
#include "host/text.h"

struct multipart {
	const char *type; /* each part's; the caller's */
	int64_t size;	  /* of what the ranges are of */
	uint64_t boundary;
	int count, next; /* next: the one that comes when this one is out */
	struct byte_range range[];
};

/* Room for a part's head, or the end. */
#define MULTIPART_HEAD_MAX 320

/* The caller frees. NULL: no memory, or no randomness. */
struct multipart *multipart_make(const char *type, int64_t size, const struct byte_range *ranges,
				 int count);

/* "multipart/byteranges; boundary=…" */
void multipart_put_type(const struct multipart *m, struct text *t);

/* The head of the next part, or the end behind the last one. */
void multipart_put(const struct multipart *m, struct text *t);

/* Bytes of the whole body. */
int64_t multipart_length(const struct multipart *m);

/* The least byte that any range has. */
int64_t multipart_first(const struct multipart *m);
