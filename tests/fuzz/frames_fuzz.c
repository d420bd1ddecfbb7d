/* Any bytes as a file to list: no more of it is read than there is, and zstd's own counts agree. */
#include "guest/frames.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_isSkippableFrame(), ZSTD_findDecompressedSize() */
#include <zstd.h>

#include "guest/seektable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file, which lives in memory, made anew. */
static int file_of(const uint8_t *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("frames", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	return fd;
}

/* Its frames, as zstd finds where they end; false where it finds none. */
static bool count_frames(const uint8_t *data, size_t size, uint64_t *frames, uint64_t *skippable)
{
	*frames = *skippable = 0;
	while (size > 0) {
		size_t length = ZSTD_findFrameCompressedSize(data, size);

		if (ZSTD_isError(length))
			return false;
		*(ZSTD_isSkippableFrame(data, size) ? skippable : frames) += 1;
		data += length;
		size -= length;
	}
	return *frames + *skippable > 0;
}

static bool ends_in_table(const uint8_t *data, size_t size)
{
	static const uint8_t magic[] = {0xb1, 0xea, 0x92, 0x8f};

	return size >= 8 + SEEK_FOOTER && memcmp(data + size - 4, magic, sizeof(magic)) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t frames, skippable;
	struct frames f;
	int err = frames_read(file_of(data, size), &f);

	if ((err == 0) != count_frames(data, size, &frames, &skippable))
		abort();
	if (err)
		return 0;
	if (f.frames != frames || f.skippable != skippable || f.bytes != size ||
	    f.checked > f.frames || (f.seekable && !ends_in_table(data, size)))
		abort();
	if (!f.unknown && f.content != ZSTD_findDecompressedSize(data, size))
		abort();
	return 0;
}
