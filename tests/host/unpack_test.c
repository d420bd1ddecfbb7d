/* The content of seekable objects: each offset, each frame, and tables that lie. */
#include "host/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define XXH_NAMESPACE ZSTD_
#define XXH_STATIC_LINKING_ONLY
#include <common/xxhash.h>
#include <zstd.h>

#include "host/seekable.h"
#include "tests/tap.h"

#define FRAMES	   5
#define FRAME_SIZE 300000 /* more than two pieces */
#define TABLE_SIZE (FRAMES * 12)

struct entry {
	uint32_t packed, size, sum;
};

static char content[FRAMES * FRAME_SIZE];
static struct entry table[FRAMES];
static char *frames;
static size_t frames_size;

/* Repeats, and is another at each offset. */
static void fill_content(void)
{
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)(i * i / 7919 + i / 64);
}

static void pack(int level)
{
	const size_t room = ZSTD_compressBound(FRAME_SIZE);

	frames = realloc(frames, FRAMES * room);
	frames_size = 0;
	for (int i = 0; i < FRAMES; i++) {
		const char *from = content + (size_t)i * FRAME_SIZE;
		const size_t n = ZSTD_compress(frames + frames_size, room, from, FRAME_SIZE, level);

		table[i] = (struct entry){(uint32_t)n, FRAME_SIZE,
					  (uint32_t)XXH64(from, FRAME_SIZE, 0)};
		frames_size += n;
	}
}

static void put32(int fd, uint32_t value)
{
	if (write(fd, &value, sizeof(value)) < 0)
		diag("write");
}

static int make_file(uint32_t count)
{
	const int fd = memfd_create("object", MFD_CLOEXEC);
	const unsigned char descriptor = 0x80;

	if (write(fd, frames, frames_size) < 0)
		diag("write");
	put32(fd, 0x184D2A5E);
	put32(fd, TABLE_SIZE + 9);
	if (write(fd, table, TABLE_SIZE) < 0)
		diag("write");
	put32(fd, count);
	if (write(fd, &descriptor, 1) < 0)
		diag("write");
	put32(fd, 0x8F92EAB1);
	return fd;
}

static int64_t size_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

#define PIECES_MAX 1000 /* of all there is */

/* Counts the bytes that come as the content has them from `at` on. 0, or what it broke off with. */
static int read_next(struct unpack *u, int fd, int64_t at, int64_t *got)
{
	static char buf[UNPACK_PIECE];

	*got = 0;
	unpack_next(u);
	for (int pieces = 0; !unpack_done(u); pieces++) {
		const char *from = NULL;
		const ssize_t n = unpack_piece(u, fd, buf, &from);

		if (n < 0)
			return (int)n;
		if (n > 0 && memcmp(content + at + *got, from, (size_t)n) != 0)
			return -EIO;
		if (pieces == PIECES_MAX)
			return -ELOOP;
		*got += n;
	}
	return 0;
}

static int read_range(int fd, int64_t at, int64_t end, int64_t *got)
{
	const struct byte_range range = {at, end - 1};
	struct unpack *u = NULL;
	int err = unpack_open(fd, size_of(fd), &u);

	*got = 0;
	if (!err)
		err = unpack_plan(u, fd, &range, at < end);
	if (!err)
		err = unpack_start(u);
	if (!err)
		err = read_next(u, fd, at, got);
	unpack_close(u);
	return err;
}

static void test_ranges(void)
{
	static const int64_t ranges[][2] = {
		{0, sizeof(content)},
		{0, 1},
		{FRAME_SIZE - 1, FRAME_SIZE},
		{FRAME_SIZE, FRAME_SIZE + 1},
		{FRAME_SIZE - 1, FRAME_SIZE + 1},
		{200000, 1400000},
		{sizeof(content) - 1, sizeof(content)},
		{7, 7},
	};
	const int fd = make_file(FRAMES);

	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		int64_t got;

		is_int(read_range(fd, ranges[i][0], ranges[i][1], &got), 0, "range %zu", i);
		is_int(got, ranges[i][1] - ranges[i][0], "… all of it");
	}
	close(fd);
}

#define LAST (FRAME_SIZE - 1)

static void test_several(void)
{
	static const struct {
		const char *what;
		struct byte_range range[4];
		int count;
	} cases[] = {
		{"in one frame", {{0, 9}, {100, 199}, {200, 200}, {LAST, LAST}}, 4},
		{"more than a piece apart", {{1, 1}, {UNPACK_PIECE + 1, 290000}}, 2},
		{"backwards", {{1400000, 1499999}, {700000, 700009}, {LAST, LAST + 1}, {0, 0}}, 4},
		{"overlapping", {{0, 400000}, {200000, 350000}, {399999, 400001}}, 3},
		{"the same", {{650000, 650009}, {650000, 650009}}, 2},
		{"end to end", {{0, LAST}, {LAST + 1, 2 * LAST}, {2 * LAST + 1, 2 * LAST + 4}}, 3},
		{"from where one ended, over a frame's end",
		 {{5, 9}, {10, 350000}, {350001, 600001}},
		 3},
	};
	const int fd = make_file(FRAMES);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct unpack *u = NULL;
		int64_t got;

		unpack_open(fd, size_of(fd), &u);
		is_int(unpack_plan(u, fd, cases[i].range, cases[i].count), 0, "%s", cases[i].what);
		is_int(unpack_start(u), 0, "… begins");
		for (int n = 0; n < cases[i].count; n++) {
			const struct byte_range r = cases[i].range[n];

			is_int(read_next(u, fd, r.first, &got), 0, "… range %d", n);
			is_int(got, r.last - r.first + 1, "… all of it");
		}
		unpack_close(u);
	}
	close(fd);
}

#define LARGE ((int64_t)SEEKABLE_FRAME_MAX / 2)

/* For frames of LARGE bytes each, if the table is believed, as it is until they are decompressed.
 */
static int plan(const struct byte_range *ranges, int count)
{
	const struct entry truth = table[0];
	struct unpack *u = NULL;
	int fd, err;

	for (int i = 0; i < FRAMES; i++)
		table[i].size = (uint32_t)LARGE;
	fd = make_file(FRAMES);
	err = unpack_open(fd, size_of(fd), &u);
	if (!err)
		err = unpack_plan(u, fd, ranges, count);
	unpack_close(u);
	close(fd);
	for (int i = 0; i < FRAMES; i++)
		table[i].size = truth.size;
	return err;
}

static void test_bound(void)
{
	static const struct byte_range backwards[] = {
		{LARGE - 1, LARGE - 1}, {LARGE - 2, LARGE - 2}, {3, 3}};
	static const struct byte_range beyond[] = {
		{LARGE - 1, LARGE - 1}, {LARGE - 2, LARGE - 2}, {4, 4}};
	static const struct byte_range apart[] = {
		{LARGE - 1, LARGE - 1}, {2 * LARGE - 1, 2 * LARGE - 1}, {2 * LARGE + 2, 3 * LARGE}};
	static const struct byte_range last[] = {
		{LARGE - 1, LARGE - 1}, {2 * LARGE - 1, 2 * LARGE - 1}, {3 * LARGE - 1, 3 * LARGE}};
	static struct byte_range forwards[RANGES_MAX], nested[RANGES_MAX];

	for (int i = 0; i < RANGES_MAX; i++) {
		forwards[i].first = forwards[i].last = LARGE - 2 * RANGES_MAX + 2 * i;
		nested[i] = (struct byte_range){LARGE / 4, LARGE - i};
	}
	is_int(plan(backwards, 3), 0, "as much in vain as may be");
	is_int(plan(beyond, 3), -E2BIG, "a byte more");
	is_int(plan(apart, 3), 0, "as much in vain as may be, in several frames");
	is_int(plan(last, 3), -E2BIG, "a frame more");
	is_int(plan(forwards, RANGES_MAX), 0, "in order: what is between them, once");
	is_int(plan(nested, 8), 0, "nested ones: what is before them, each time");
	is_int(plan(nested, 9), -E2BIG, "… and one more");
}

/* With a table that says something else of frame 2: what comes before it, and then an error. */
static void test_lie(const char *what, struct entry lie, int64_t most)
{
	const struct entry truth = table[2];
	int64_t got;
	int fd;

	table[2] = lie;
	fd = make_file(FRAMES);
	is_int(read_range(fd, 0, (int64_t)sizeof(content) - 1, &got), -EBADMSG, "%s", what);
	ok(got >= 2LL * FRAME_SIZE && got <= most, "… %lld bytes before that", (long long)got);
	close(fd);
	table[2] = truth;
}

static void test_lies(void)
{
	const struct entry t = table[2];
	const int64_t before = 3LL * FRAME_SIZE - 1;

	test_lie("a wrong checksum", (struct entry){t.packed, t.size, t.sum ^ 1}, before);
	test_lie("more content than there is", (struct entry){t.packed, t.size + 1, t.sum}, before);
	test_lie("less content than there is", (struct entry){t.packed, t.size - 1, t.sum}, before);
}

static void test_not_seekable(void)
{
	struct entry *e = &table[2];
	const struct entry truth = *e;
	struct unpack *u;
	int fd = make_file(FRAMES);

	is_int(unpack_open(fd, size_of(fd) - 1, &u), -ENODATA, "a byte short");
	is_int(unpack_open(fd, 0, &u), -ENODATA, "an empty file");
	close(fd);
	fd = make_file(FRAMES + 1);
	is_int(unpack_open(fd, size_of(fd), &u), -ENODATA, "another number of frames");
	close(fd);
	fd = make_file(UINT32_MAX);
	is_int(unpack_open(fd, size_of(fd), &u), -ENODATA, "very many frames");
	close(fd);
	e->packed++;
	fd = make_file(FRAMES);
	is_int(unpack_open(fd, size_of(fd), &u), -ENODATA, "frames that do not fill the file");
	close(fd);
	*e = truth;
	e->size = SEEKABLE_FRAME_MAX + 1;
	fd = make_file(FRAMES);
	is_int(unpack_open(fd, size_of(fd), &u), -ENODATA, "a giant frame");
	close(fd);
	*e = truth;
	e->size = 0;
	fd = make_file(FRAMES);
	is_int(unpack_open(fd, size_of(fd), &u), -ENODATA, "much input for no content");
	close(fd);
	*e = truth;
}

int main(void)
{
	fill_content();
	pack(3);
	test_ranges();
	test_several();
	test_bound();
	test_lies();
	pack(-50); /* hardly compressed: many reads for a piece */
	test_ranges();
	test_several();
	test_not_seekable();
	free(frames);
	return done_testing();
}
