/*
 * A compressed object of any bytes, from any offset: whatever its seek table says, no more is
 * handed out than it said, piece by piece, and it ends.
 */
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/seekable.h"
#include "host/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIECES_MAX 4096 /* of an input's few kB; each takes or gives something */

static void read_all(struct unpack *u, int fd, int64_t at, int64_t end)
{
	char *buf = malloc(UNPACK_PIECE);
	int64_t got = 0;
	int pieces = 0;

	while (!unpack_done(u) && pieces++ < PIECES_MAX) {
		const char *from = NULL;
		const ssize_t n = unpack_piece(u, fd, buf, &from);

		if (n < 0)
			break;
		assert(n == 0 || (from >= buf && from + n <= buf + UNPACK_PIECE));
		got += n;
		assert(got <= end - at);
	}
	assert(!unpack_done(u) || got == end - at);
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int64_t skip = size > 0 ? data[0] : 0;
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct unpack *u = NULL;

	if (size > 0 && write(fd, data + 1, size - 1) == (ssize_t)size - 1 &&
	    unpack_open(fd, (int64_t)size - 1, &u) == 0) {
		const int64_t end = unpack_size(u), at = end > 0 ? skip * 37 % end : 0;

		assert(end >= 0 && unpack_memory(u) <= (int64_t)SEEKABLE_FRAME_MAX + (1 << 20));
		if (unpack_start(u, fd, at, end) == 0)
			read_all(u, fd, at, end);
		unpack_close(u);
	}
	close(fd);
	return 0;
}
