/*
 * Seekable objects, read by another's reader: zstd's own, contrib/seekable_format, compiled from
 * the source package into this test.
 */
#include "guest/encode.h"

#include <errno.h>
#include <stdlib.h>

#include "libzstd/contrib/seekable_format/zstdseek_decompress.c"

#include "guest/frames.h"
#include "guest/seektable.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#define SIZE 3000000

static int root;
static char content[SIZE];

struct collected {
	char *data;
	size_t size;
};

static int collect(void *cookie, const void *data, size_t size)
{
	struct collected *c = cookie;

	c->data = realloc(c->data, c->size + size);
	memcpy(c->data + c->size, data, size);
	c->size += size;
	return 0;
}

/* Encodes an input of `size` bytes, of which the last are gone when their turn comes, or none. */
static int put(struct encoder *z, const struct sink *to, size_t size, size_t gone)
{
	struct encode_counts counts = {0};
	struct source s;
	int fd, err;

	scratch_file(root, "input", content, size);
	fd = openat(root, "input", O_RDWR);
	source_init(&s, fd);
	is_int(ftruncate(fd, (off_t)(size - gone)), 0, "an input");
	err = encode(z, &s, to, false, &counts);
	close(fd);
	return err;
}

static struct collected make(const struct encode_options *o, size_t size, int inputs)
{
	struct collected c = {0};
	struct sink to = {.write = collect, .cookie = &c};
	struct encode_counts counts = {0};
	struct encoder *z;
	int err = encoder_open(&z, o, NULL);

	for (int i = 0; i < inputs && !err; i++)
		err = put(z, &to, size, 0);
	if (!err)
		err = encode_end(z, &to, &counts);
	is_int(err, 0, "%zu bytes in frames of %llu", size, (unsigned long long)o->frame_size);
	encoder_close(z);
	return c;
}

static void ranges(const struct collected *c, size_t size)
{
	ZSTD_seekable *reader = ZSTD_seekable_create();
	char *buf = malloc(size + 1);
	bool same = true;

	ok(!ZSTD_isError(ZSTD_seekable_initBuff(reader, c->data, c->size)),
	   "another's reader takes the table");
	for (size_t at = 0; at < size; at += 77777) {
		size_t n = size - at < 100001 ? size - at : 100001;

		same &= ZSTD_seekable_decompress(reader, buf, n, at) == n &&
			memcmp(buf, content + at, n) == 0;
	}
	ok(same, "and finds each range");
	ZSTD_seekable_free(reader);
	free(buf);
}

static struct frames look(const struct collected *c)
{
	struct frames f;
	int fd;

	scratch_file(root, "object", c->data, c->size);
	fd = openat(root, "object", O_RDONLY);
	is_int(frames_read(fd, &f), 0, "its frames are read");
	close(fd);
	return f;
}

static void plain(const struct collected *c, size_t size, int inputs)
{
	size_t room = size * (size_t)inputs + 1;
	char *buf = malloc(room);

	ok(ZSTD_decompress(buf, room, c->data, c->size) == room - 1 &&
		   memcmp(buf, content, size) == 0,
	   "and to a plain decoder it is zstd");
	free(buf);
}

static void one(struct encode_options o, size_t size)
{
	struct collected c = make(&o, size, 1);
	struct frames f = look(&c);
	uint64_t frames = size ? (size + o.frame_size - 1) / o.frame_size : 1;

	ok(f.frames == frames && f.skippable == 1 && f.seekable, "%llu frames and a table",
	   (unsigned long long)frames);
	ok(f.content == size && !f.unknown, "and their sizes add up");
	ok(f.checked == (o.no_checksum ? 0 : frames),
	   "each with a checksum, unless told otherwise");
	ranges(&c, size);
	plain(&c, size, 1);
	free(c.data);
}

static void several_inputs(void)
{
	struct encode_options o = {.level = 1, .frame_size = 100000};
	struct collected c = make(&o, 250000, 3);
	struct frames f = look(&c);

	ok(f.frames == 9 && f.skippable == 1 && f.seekable, "three inputs share one table");
	ranges(&c, 250000);
	plain(&c, 250000, 3);
	free(c.data);
}

/* What it had is not in the output, so its frames must not be in the table. */
static void input_that_fails(void)
{
	struct encode_options o = {.level = 1, .frame_size = 100000};
	struct collected c = {0};
	struct sink to = {.write = collect, .cookie = &c};
	struct encode_counts counts = {0};
	struct encoder *z;
	struct frames f;

	is_int(encoder_open(&z, &o, NULL), 0, "an encoder");
	is_int(put(z, &to, 250000, 0), 0, "is done");
	is_int(put(z, &to, 250000, 50000), -ESTALE, "fails in its third frame");
	is_int(put(z, &to, 250000, 0), 0, "is done");
	is_int(encode_end(z, &to, &counts), 0, "and the table behind them");
	encoder_close(z);
	f = look(&c);
	ok(f.frames == 6 && f.skippable == 1 && f.seekable, "is of those in the output");
	plain(&c, 250000, 2);
	free(c.data);
}

/* A table that lies is no table, and no harm. */
static void lies(void)
{
	struct encode_options o = {.level = 1, .frame_size = 100000};
	struct collected c = make(&o, 250000, 1);
	static const size_t from_end[] = {5, 6, 9, 21, 45};
	struct frames f;

	for (size_t i = 0; i < sizeof(from_end) / sizeof(*from_end); i++) {
		c.data[c.size - from_end[i]] ^= 0x7f;
		f = look(&c);
		ok(!f.seekable && f.skippable == 1, "a table with byte -%zu changed is not one",
		   from_end[i]);
		c.data[c.size - from_end[i]] ^= 0x7f;
	}
	f = look(&c);
	ok(f.seekable, "with all as it was it is");
	free(c.data);
}

int main(void)
{
	static const size_t sizes[] = {0, 1, 99999, 100000, 100001, SIZE};
	uint32_t x = 1;

	root = scratch_open();
	for (size_t i = 0; i < SIZE; i++) {
		x = x * 1664525 + 1013904223;
		content[i] = (char)(x >> 29);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		one((struct encode_options){.level = 3, .frame_size = 100000}, sizes[i]);
	one((struct encode_options){.level = 3, .frame_size = 100000, .no_checksum = true}, SIZE);
	one((struct encode_options){.level = 3, .frame_size = 1 << 20, .workers = 2}, SIZE);
	several_inputs();
	input_that_fails();
	lies();
	return done_testing();
}
