#include "host/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As zstd's own sources were compiled. */
#define XXH_NAMESPACE ZSTD_
#define XXH_STATIC_LINKING_ONLY
#include <common/xxhash.h>
#include <zstd.h>

#include "host/seekable.h"

#define READ_SIZE (32 * 1024)
#define STEPS_MAX 8 /* for a piece: blocks that hold nothing give no output */

struct wanted {
	struct byte_range range;
	struct seekable_frame first; /* that has some of it */
};

struct unpack {
	struct seekable table;
	struct wanted wanted[RANGES_MAX];
	int count, next;
	struct seekable_frame frame;
	int64_t at, end;      /* of the content: what is still to be handed out of the range */
	uint32_t taken, made; /* of the frame: bytes that went in and that came out */
	bool frame_over;
	ZSTD_DCtx *decoder;
	XXH64_state_t sum;
};

int unpack_open(int fd, int64_t file_size, struct unpack **out)
{
	struct unpack *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	err = seekable_open(fd, file_size, &u->table);
	if (err) {
		unpack_close(u);
		return err;
	}
	*out = u;
	return 0;
}

void unpack_close(struct unpack *u)
{
	if (u)
		ZSTD_freeDCtx(u->decoder);
	free(u);
}

int64_t unpack_size(const struct unpack *u)
{
	return u->table.size;
}

/* A window, which holds no more than a frame, and what the decoder needs besides. */
int64_t unpack_memory(const struct unpack *u)
{
	return (int64_t)u->table.largest + 512 * 1024;
}

static void begin_frame(struct unpack *u)
{
	u->taken = u->made = 0;
	u->frame_over = false;
	ZSTD_DCtx_reset(u->decoder, ZSTD_reset_session_only);
	XXH64_reset(&u->sum, 0);
}

static int by_offset(const void *a, const void *b)
{
	const struct wanted *const *one = a, *const *other = b;
	const int64_t first = (*one)->range.first, second = (*other)->range.first;

	return (first > second) - (first < second);
}

/* Looks up where each range's first frame is, in one pass through the table. */
static int find_frames(struct unpack *u, int fd)
{
	struct wanted *sorted[RANGES_MAX] = {NULL};
	struct seekable_frame frame = {0};
	int err = 0;

	for (int i = 0; i < u->count; i++)
		sorted[i] = &u->wanted[i];
	qsort(sorted, (size_t)u->count, sizeof(sorted[0]), by_offset);
	for (int i = 0; i < u->count && !err; i++) {
		err = seekable_find(fd, &u->table, sorted[i]->range.first, &frame);
		sorted[i]->first = frame;
	}
	return err;
}

/* Whether a decoder that has come to `at` of the content can go on from there. */
static bool goes_on(const struct wanted *w, int64_t at)
{
	return w->first.at < at && at <= w->range.first;
}

static int64_t in_vain(const struct unpack *u)
{
	int64_t sum = 0, at = 0;

	for (int i = 0; i < u->count; i++) {
		const struct wanted *w = &u->wanted[i];

		sum += w->range.first - (goes_on(w, at) ? at : w->first.at);
		at = w->range.last + 1;
	}
	return sum;
}

int unpack_plan(struct unpack *u, int fd, const struct byte_range *ranges, int count)
{
	int err;

	for (int i = 0; i < count; i++)
		u->wanted[i].range = ranges[i];
	u->count = count;
	err = find_frames(u, fd);
	return err ? err : in_vain(u) > SEEKABLE_FRAME_MAX ? -E2BIG : 0;
}

int unpack_start(struct unpack *u)
{
	u->decoder = ZSTD_createDCtx();
	return u->decoder ? 0 : -ENOMEM;
}

void unpack_next(struct unpack *u)
{
	const struct wanted *w = &u->wanted[u->next];

	if (u->next == u->count)
		return;
	u->next++;
	u->at = w->range.first;
	u->end = w->range.last + 1;
	if (goes_on(w, u->frame.at + u->made))
		return;
	u->frame = w->first;
	begin_frame(u);
}

bool unpack_done(const struct unpack *u)
{
	return u->at == u->end;
}

/* One step of the decoder, which gives something, takes something, or ends the frame. */
static int step(struct unpack *u, int fd, ZSTD_outBuffer *out)
{
	const struct seekable_frame *f = &u->frame;
	const uint32_t left = f->packed_size - u->taken;
	char buf[READ_SIZE];
	ssize_t n = pread(fd, buf, left < READ_SIZE ? left : READ_SIZE, f->packed_at + u->taken);
	ZSTD_inBuffer in = {buf, n > 0 ? (size_t)n : 0, 0};
	const size_t before = out->pos;
	size_t result;

	if (n < 0 || (n == 0 && left > 0))
		return -EBADMSG;
	result = ZSTD_decompressStream(u->decoder, out, &in);
	if (ZSTD_isError(result) || (result > 0 && in.pos == 0 && out->pos == before))
		return -EBADMSG;
	u->taken += (uint32_t)in.pos;
	u->made += (uint32_t)(out->pos - before);
	u->frame_over = result == 0;
	return 0;
}

/* What the frame gave is what the table says of it. */
static bool frame_holds(struct unpack *u)
{
	const struct seekable_frame *f = &u->frame;

	return u->made == f->size && u->taken == f->packed_size &&
	       (u->table.entry_size == 8 || (uint32_t)XXH64_digest(&u->sum) == f->checksum);
}

/* The part of a frame's bytes from `at` on that is wanted: what is behind it was not made. */
static ssize_t hand_out(struct unpack *u, const char *buf, int64_t at, size_t size,
			const char **from)
{
	const int64_t skip = u->at > at ? u->at - at : 0;
	const int64_t n = (int64_t)size - skip;

	if (n <= 0)
		return 0;
	*from = buf + skip;
	u->at += n;
	return n;
}

static int next_frame(struct unpack *u, int fd)
{
	if (!frame_holds(u))
		return -EBADMSG;
	if (u->frame.at + u->frame.size >= u->end)
		return 0;
	begin_frame(u);
	return seekable_next(fd, &u->table, &u->frame);
}

/* Not beyond the range, so that another one can go on from there. */
static size_t piece_size(const struct unpack *u, int64_t at)
{
	const int64_t in_frame = u->frame.size - u->made, in_range = u->end - at;
	const int64_t left = in_frame < in_range ? in_frame : in_range;

	return left < UNPACK_PIECE ? (size_t)left : UNPACK_PIECE;
}

ssize_t unpack_piece(struct unpack *u, int fd, char *buf, const char **from)
{
	const int64_t at = u->frame.at + u->made;
	ZSTD_outBuffer out = {buf, piece_size(u, at), 0};
	int err = 0;

	for (int i = 0; i < STEPS_MAX && !err && !u->frame_over; i++) {
		if (out.pos == out.size && u->made < u->frame.size)
			break;
		err = step(u, fd, &out);
	}
	/* With its last byte the frame's end is wanted, before that byte is handed out. */
	if (err || (u->made == u->frame.size && !u->frame_over))
		return -EBADMSG;
	XXH64_update(&u->sum, buf, out.pos);
	if (u->frame_over)
		err = next_frame(u, fd);
	return err ? err : hand_out(u, buf, at, out.pos, from);
}
