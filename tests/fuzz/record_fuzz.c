/* Any bytes as a record: what is taken has the promised form, and survives being written again. */
#include "space/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record r, again;
	char text[RECORD_MAX], text_again[RECORD_MAX];
	int n;

	if (record_parse((const char *)data, size, &r))
		return 0;
	if (r.arrival_ns < 0 || r.arrival_ns > r.start_ns || r.start_ns > r.end_ns ||
	    r.blocked_ns < 0 || r.blocked_ns > r.end_ns - r.start_ns || strchr(r.id, '/') ||
	    !r.id[0])
		abort();
	n = record_format(&r, text, sizeof(text));
	if (n < 0 || record_parse(text, (size_t)n, &again))
		abort();
	if (record_format(&again, text_again, sizeof(text_again)) != n ||
	    memcmp(text, text_again, n))
		abort();
	return 0;
}
