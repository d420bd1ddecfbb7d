/*
 * A compressed object of any bytes, any ranges of it: whatever its seek table says, no more is
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

static bool read_next(struct unpack *u, int fd, struct byte_range range)
{
	char *buf = malloc(UNPACK_PIECE);
	int64_t got = 0;
	int pieces = 0;

	unpack_next(u);
	while (!unpack_done(u) && pieces++ < PIECES_MAX) {
		const char *from = NULL;
		const ssize_t n = unpack_piece(u, fd, buf, &from);

		if (n < 0)
			break;
		assert(n == 0 || (from >= buf && from + n <= buf + UNPACK_PIECE));
		got += n;
		assert(got <= range.last - range.first + 1);
	}
	assert(!unpack_done(u) || got == range.last - range.first + 1);
	free(buf);
	return unpack_done(u);
}

#define RANGES 3

/* Any ranges of so many bytes, by what a number is. */
static int make_ranges(unsigned seed, int64_t size, struct byte_range range[RANGES])
{
	const int count = size > 0 ? 1 + (int)(seed % RANGES) : 0;

	for (int i = 0; i < count; i++) {
		seed = seed * 1103515245 + 12345;
		range[i].first = (seed >> 8) % size;
		seed = seed * 1103515245 + 12345;
		range[i].last = range[i].first + (seed >> 8) % (size - range[i].first);
	}
	return count;
}

static void read_ranges(struct unpack *u, int fd, unsigned seed)
{
	struct byte_range range[RANGES];
	const int count = make_ranges(seed, unpack_size(u), range);

	if (unpack_plan(u, fd, range, count) != 0 || unpack_start(u) != 0)
		return;
	for (int i = 0; i < count; i++) {
		if (!read_next(u, fd, range[i]))
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct unpack *u = NULL;

	if (size > 0 && write(fd, data + 1, size - 1) == (ssize_t)size - 1 &&
	    unpack_open(fd, (int64_t)size - 1, &u) == 0) {
		assert(unpack_size(u) >= 0);
		assert(unpack_memory(u) <= (int64_t)SEEKABLE_FRAME_MAX + (1 << 20));
		read_ranges(u, fd, data[0]);
		unpack_close(u);
	}
	close(fd);
	return 0;
}
