/* Any bytes as a command's progress, in any pieces: the numbers stay numbers, the pieces do not
 * matter. */
#include "guest/progress.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct progress whole = {0}, pieces = {0};

	progress_feed(&whole, (const char *)data, size);
	for (size_t at = 0, n; at < size; at += n) {
		n = 1 + data[at] % 64;
		if (n > size - at)
			n = size - at;
		progress_feed(&pieces, (const char *)data + at, n);
	}
	if (whole.frames < 0 || whole.bytes < 0 || whole.out_time_us < 0 ||
	    whole.frames > PROGRESS_COUNT_MAX || whole.out_time_us > PROGRESS_COUNT_MAX ||
	    !(whole.speed >= 0 && whole.speed < 1e6) || whole.used >= sizeof(whole.line))
		abort();
	if (whole.frames != pieces.frames || whole.bytes != pieces.bytes ||
	    whole.speed != pieces.speed || whole.blocks != pieces.blocks)
		abort();
	return 0;
}
