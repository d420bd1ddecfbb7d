/*
 * The request parser and the range parser against any bytes. Beyond the sanitizers: a head is found
 * at the same place whatever the pieces it comes in, and what is understood keeps its promises.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/http_range.h"
#include "host/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ranges(struct http_text field, int64_t size, bool growing)
{
	struct byte_range got[RANGES_MAX];
	const int n = http_range_parse(field, size, growing, got);

	assert(n >= -1 && n <= RANGES_MAX);
	for (int i = 0; i < n; i++) {
		assert(got[i].first >= 0 && got[i].first <= got[i].last);
		assert(got[i].first <= size);
		assert(got[i].last < size || (growing && got[i].last <= RANGE_FOREVER));
	}
}

static void check_path(const struct http_request *r)
{
	assert(r->path[0] == '/' && strlen(r->path) == r->path_size);
	assert(r->path_size < HTTP_PATH_MAX);
	assert(!strstr(r->path, "/../") && !strstr(r->path, "/./"));
}

static size_t head_in_pieces(const char *head, size_t size)
{
	size_t scanned = 0, found = 0;

	for (size_t have = 1; have <= size && !found; have++)
		found = http_head_size(head, have, &scanned);
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_request r;
	char *head = malloc(size + 1); /* of the exact size, so that a byte more is found out */
	size_t scanned = 0, found;
	int status;

	memcpy(head, data, size);
	found = http_head_size(head, size, &scanned);
	assert(found <= size && found == head_in_pieces(head, size));
	if (found > 0) {
		head = realloc(head, found);
		status = http_request_parse(head, found, &r);
		assert(status == 0 || (status >= 400 && status <= 505));
		if (status == 0) {
			check_path(&r);
			check_ranges(r.range, 1000, false);
			check_ranges(r.range, 1000, true);
			check_ranges(r.range, 0, false);
			assert(http_date_parse(r.if_modified_since) >= -1);
			http_accepts(r.accept_encoding, "zstd");
		}
	}
	free(head);
	return 0;
}
