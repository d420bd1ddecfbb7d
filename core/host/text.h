/* Text put together in a buffer that is large enough, or says at the end that it was not. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
	char *buf;
	size_t size, room;
	bool cut; /* something did not fit and was left out */
};

static inline void text_data(struct text *t, const char *data, size_t size)
{
	if (size > t->room - t->size) {
		t->cut = true;
		return;
	}
	memcpy(t->buf + t->size, data, size);
	t->size += size;
}

static inline void text_put(struct text *t, const char *s)
{
	text_data(t, s, strlen(s));
}

static inline void text_number(struct text *t, uint64_t n, unsigned base)
{
	char digits[24];
	size_t at = sizeof(digits);

	do
		digits[--at] = "0123456789abcdef"[n % base];
	while ((n /= base) > 0);
	text_data(t, digits + at, sizeof(digits) - at);
}

static inline void text_decimal(struct text *t, int64_t n)
{
	text_number(t, (uint64_t)n, 10);
}
