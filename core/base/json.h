/* Reading and writing JSON with cJSON, with the checks that a peer's JSON needs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

static inline void cleanup_json_delete(cJSON **json)
{
	cJSON_Delete(*json);
}
#define cleanup_json __attribute__((cleanup(cleanup_json_delete)))

/*
 * Parses exactly `size` bytes (one value, white space around it allowed) that nest no deeper than
 * JSON_DEPTH_MAX and hold no more than JSON_VALUES_MAX values, each of which takes 64 bytes of ours
 * for as few as 2 of a peer's. The caller deletes it. NULL when it is anything else.
 */
#define JSON_DEPTH_MAX	32
#define JSON_VALUES_MAX (256 * 1024)
cJSON *json_parse(const char *text, size_t size);

/*
 * From now on cJSON takes memory from `size` bytes at `memory`, all of it anew whenever nothing of
 * it is in use any more, and from malloc(3) only what does not fit: for a process of one thread
 * that parses small things for months.
 */
void json_use_memory(void *memory, size_t size);

/*
 * A member's string, or NULL where it is absent or of another type. Lives as long as `object`. One
 * with \u0000 in it ends there.
 */
const char *json_string(const cJSON *object, const char *name);

/*
 * A member's whole number in [min, max]; 0, or -EINVAL where it is absent, of another type, not
 * whole or out of range. cJSON keeps doubles: above 2^53 the last bits are lost.
 */
int json_integer(const cJSON *object, const char *name, int64_t min, int64_t max, int64_t *value);

/* The same of a value itself. */
int json_whole(const cJSON *item, int64_t min, int64_t max, int64_t *value);

/* Whether the member is there and true. */
bool json_true(const cJSON *object, const char *name);

/*
 * Writes `text` as a JSON string, quotes included, into `buf`; bytes that are no UTF-8 become
 * U+FFFD. The length, or -ENOSPC.
 */
int json_quote(const char *text, char *buf, size_t size);

/* Adds a string that may be no UTF-8, as names of files may, as json_quote() writes it. */
void json_add_text(cJSON *object, const char *name, const char *text);

/* Prints `object` as one line on stdout. */
void json_print_line(const cJSON *object);
