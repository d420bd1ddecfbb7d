#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* ---- memory of one's own ---- */

static struct {
	char *start, *next, *end;
	size_t taken; /* pieces in use */
} arena;

static void *arena_take(size_t size)
{
	char *piece = arena.next;

	size = (size + 15) & ~(size_t)15;
	if (size > (size_t)(arena.end - piece))
		return malloc(size);
	arena.next += size;
	arena.taken++;
	return piece;
}

static void arena_give(void *piece)
{
	if ((char *)piece < arena.start || (char *)piece >= arena.end) {
		free(piece);
		return;
	}
	if (--arena.taken == 0)
		arena.next = arena.start;
}

void json_use_memory(void *memory, size_t size)
{
	cJSON_Hooks hooks = {arena_take, arena_give};

	arena.start = arena.next = memory;
	arena.end = memory ? arena.start + size : NULL;
	arena.taken = 0;
	cJSON_InitHooks(memory ? &hooks : NULL);
}

/* ---- reading ---- */

static bool json_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * What cJSON would take all the same. It recurses once a level and refuses above 1000 levels, which
 * is more than a thread's stack need hold; brackets inside strings are skipped, so that the count
 * is exact. Values are no more than commas and brackets, and one. And any control character is
 * white space to it, NUL too.
 */
static bool json_refused(const char *text, size_t size)
{
	bool in_string = false;
	int depth = 0, values = 1;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if ((unsigned char)c < 0x20 && !json_space(c))
			return true;
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX || ++values > JSON_VALUES_MAX)
				return true;
		} else if (c == ',') {
			if (++values > JSON_VALUES_MAX)
				return true;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return false;
}

cJSON *json_parse(const char *text, size_t size)
{
	const char *end = NULL;
	cJSON *json;

	if (json_refused(text, size))
		return NULL;
	json = cJSON_ParseWithLengthOpts(text, size, &end, false);
	if (!json)
		return NULL;
	while (end < text + size && json_space(*end))
		end++;
	if (end != text + size) {
		cJSON_Delete(json);
		return NULL;
	}
	return json;
}

const char *json_string(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

int json_whole(const cJSON *item, int64_t min, int64_t max, int64_t *value)
{
	double d;

	if (!cJSON_IsNumber(item))
		return -EINVAL;
	d = item->valuedouble;
	/* Written so that NaN fails; 2^63 itself is not representable as int64_t. */
	if (!(d >= (double)min && d <= (double)max && d < 0x1p63) || floor(d) != d)
		return -EINVAL;
	*value = (int64_t)d;
	return 0;
}

int json_integer(const cJSON *object, const char *name, int64_t min, int64_t max, int64_t *value)
{
	return json_whole(cJSON_GetObjectItemCaseSensitive(object, name), min, max, value);
}

bool json_true(const cJSON *object, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* The length of the UTF-8 sequence at `s`, or 0 if it is none (overlong forms and surrogates too).
 */
static size_t utf8_length(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf && (s[1] & 0xc0) == 0x80)
		return 2;
	if ((s[0] & 0xf0) == 0xe0 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80) {
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 &&
	    (s[3] & 0xc0) == 0x80) {
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

/* One character of `s` as it stands in a JSON string. How many bytes of `s` it was. */
static size_t json_quote_one(const unsigned char *s, char out[8])
{
	size_t n = utf8_length(s);

	if (n == 0) {
		strcpy(out, "\\ufffd");
		return 1;
	}
	if (n == 1 && (s[0] == '"' || s[0] == '\\'))
		snprintf(out, 8, "\\%c", s[0]);
	else if (n == 1 && (s[0] < 0x20 || s[0] == 0x7f))
		snprintf(out, 8, "\\u%04x", s[0]);
	else
		snprintf(out, 8, "%.*s", (int)n, (const char *)s);
	return n;
}

int json_quote(const char *text, char *buf, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0;
	char one[8];

	if (size < 3)
		return -ENOSPC;
	buf[at++] = '"';
	while (*s) {
		size_t n;

		s += json_quote_one(s, one);
		n = strlen(one);
		if (at + n + 2 > size)
			return -ENOSPC;
		memcpy(buf + at, one, n);
		at += n;
	}
	buf[at++] = '"';
	buf[at] = '\0';
	return (int)at;
}

void json_add_text(cJSON *object, const char *name, const char *text)
{
	size_t size = 6 * strlen(text) + 3; /* a byte can be six: \u001f */
	cleanup_free char *quoted = malloc(size);

	if (quoted && json_quote(text, quoted, size) > 0)
		cJSON_AddRawToObject(object, name, quoted);
}

void json_print_line(const cJSON *object)
{
	char *text = cJSON_PrintUnformatted(object);

	if (text)
		puts(text);
	cJSON_free(text);
}
