/* Any bytes as the host's word: what is taken is in range, and survives being written again. */
#include "space/pace.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[PACE_MAX], text_again[PACE_MAX];
	struct pace p, again;
	int n;

	if (pace_parse((const char *)data, size, &p))
		return 0;
	if (p.level < -1 || p.level > 1 || p.valid_ns <= 0)
		abort();
	n = pace_format(&p, text, sizeof(text));
	if (n < 0 || pace_parse(text, (size_t)n, &again) ||
	    pace_format(&again, text_again, sizeof(text_again)) != n ||
	    memcmp(text, text_again, (size_t)n) != 0)
		abort();
	return 0;
}
