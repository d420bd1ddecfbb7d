/* Any bytes as lines of the link: what is taken is in range, and survives being written again. */
#include "space/link.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_request(char *line)
{
	char text[LINK_LINE_MAX], text_again[LINK_LINE_MAX];
	struct link_request r;
	const char *why = NULL;
	int n;

	if (link_parse_request(line, &r, &why)) {
		if (!why)
			abort();
		return;
	}
	if (r.total_bps > LINK_RATE_MAX || r.client_bps > LINK_RATE_MAX ||
	    r.lease_ms > LINK_LEASE_MAX_MS)
		abort();
	n = link_format_request(&r, text, sizeof(text));
	if (n <= 0 || n >= (int)sizeof(text))
		abort();
	memcpy(text_again, text, (size_t)n);
	text_again[n - 1] = '\0';
	if (link_parse_request(text_again, &r, &why) ||
	    link_format_request(&r, text_again, sizeof(text_again)) != n ||
	    memcmp(text, text_again, (size_t)n) != 0)
		abort();
}

static void as_answer(char *line)
{
	struct link_stream stream;
	struct link_space space;
	char text[LINK_LINE_MAX];
	enum link_line what = link_parse_answer(line, &stream, &space);
	int n = 1;

	if (what == LINK_STREAM)
		n = link_format_stream(&stream, text, sizeof(text));
	if (what == LINK_SPACE)
		n = link_format_space(&space, text, sizeof(text));
	if (n <= 0 || n >= (int)sizeof(text))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[LINK_LINE_MAX];

	if (size >= sizeof(line))
		return 0;
	memcpy(line, data, size);
	line[size] = '\0';
	as_request(line);
	memcpy(line, data, size);
	line[size] = '\0';
	as_answer(line);
	return 0;
}
