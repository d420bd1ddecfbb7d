/* Any bytes as a peer's replies to a PUT: heads are found whole, and what is taken is within
 * bounds. */
#include "host/push_http.h"

#include <stdlib.h>
#include <string.h>

#include "host/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(const char *head, size_t size)
{
	struct push_reply r;

	if (push_reply_parse(head, size, &r))
		return;
	if (r.status < 100 || r.status > 999 || r.length < -1 || r.length > 999999999999999)
		abort();
	if (memchr(head, '\0', size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of just that size: a step beyond its end is found. */
	char *in = malloc(size ? size : 1);
	size_t scanned = 0, at = 0, n;

	if (!in)
		return 0;
	memcpy(in, data, size);
	while ((n = http_head_size(in + at, size - at, &scanned)) > 0) {
		if (n > size - at)
			abort();
		take(in + at, n);
		at += n;
		scanned = 0;
	}
	free(in);
	return 0;
}
