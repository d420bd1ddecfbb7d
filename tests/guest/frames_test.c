/* Listing: what frames say of themselves, and files that lie about it. */
#include "guest/frames.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static int root;

static int look(const void *data, size_t size, struct frames *f)
{
	int fd, err;

	scratch_file(root, "file", data, size);
	fd = openat(root, "file", O_RDONLY);
	err = frames_read(fd, f);
	close(fd);
	return err;
}

/* A single-segment frame of content size N, whose only block is RLE; with a checksum. */
#define FRAME(n)  0x28, 0xb5, 0x2f, 0xfd, 0x24, (n), 0x03 | (n) << 3, 0, 0, 'x', 1, 2, 3, 4
#define SKIPPABLE 0x50, 0x2a, 0x4d, 0x18

static void honest(void)
{
	const unsigned char two[] = {FRAME(5), SKIPPABLE, 3, 0, 0, 0, 'a', 'b', 'c', FRAME(7)};
	struct frames f;

	is_int(look(two, sizeof(two), &f), 0, "two frames and a skippable one");
	ok(f.frames == 2 && f.skippable == 1, "are counted");
	ok(f.content == 12 && !f.unknown && f.bytes == sizeof(two), "and added up");
	ok(f.checked == 2 && f.checksum == 0x04030201, "with their checksums");
	ok(f.window == 7 && f.dictionary == 0 && !f.seekable, "window, dictionary, no table");
}

static void cut(void)
{
	const unsigned char frame[] = {FRAME(5)};
	const unsigned char skip[] = {SKIPPABLE, 3, 0, 0, 0, 'a', 'b', 'c'};
	struct frames f;

	is_int(look("", 0, &f), -EBADMSG, "nothing is no frame");
	for (size_t n = 1; n < sizeof(frame); n++)
		is_int(look(frame, n, &f), n < 4 ? -EBADMSG : -EPIPE, "%zu bytes of a frame", n);
	for (size_t n = 4; n < sizeof(skip); n++)
		is_int(look(skip, n, &f), -EPIPE, "%zu bytes of a skippable one", n);
}

static void lies(void)
{
	const unsigned char text[] = "no frame at all",
			    reserved[] = {0x28, 0xb5, 0x2f, 0xfd, 0x08, 0, 0, 0, 0, 0};
	const unsigned char type[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 5, 0x07, 0, 0, 0, 0};
	const unsigned char huge[] = {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xfe, 0xff, 0xff,
				      0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0,	0};
	const unsigned char skip[] = {SKIPPABLE, 0xff, 0xff, 0xff, 0xff, 'a'};
	struct frames f;

	is_int(look(text, sizeof(text), &f), -EBADMSG, "text");
	is_int(look(reserved, sizeof(reserved), &f), -EPROTO, "a reserved bit");
	is_int(look(type, sizeof(type), &f), -EPROTO, "a block type that is none");
	is_int(look(huge, sizeof(huge), &f), 0, "2^64-2 bytes of content");
	ok(f.unknown && f.content == 0, "are not believed");
	is_int(look(skip, sizeof(skip), &f), -EPIPE, "a skippable frame beyond the end");
}

/* Blocks of no bytes: the file is read once, not once for each of them. */
static void tiny_blocks(void)
{
	size_t size = 6 + 30000000;
	unsigned char *data = calloc(1, size);
	int64_t began = clock_cpu_ns();
	struct frames f;

	memcpy(data, "\x28\xb5\x2f\xfd\x20", 5);
	is_int(look(data, size, &f), -EPIPE, "10 million empty blocks and no last one");
	ok(clock_cpu_ns() - began < 20 * NS_PER_S, "take no time to speak of");
	free(data);
}

int main(void)
{
	root = scratch_open();
	honest();
	cut();
	lies();
	tiny_blocks();
	return done_testing();
}
