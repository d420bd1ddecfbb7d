#include "guest/encode.h"

#include <errno.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_getFrameProgression() */
#include <zstd.h>
#include <zstd_errors.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "guest/seektable.h"
#include "space/layout.h"

/* Input comes in smaller pieces than output goes: it costs a copy in our own kernel, not a round
 * trip. */
#define INPUT_PIECE ((size_t)256 * 1024)

/* What a worker gets at a time where the level may change, and how far back it can look. zstd's own
 * choice for this window, 16 MiB, would take half a minute at high levels. */
#define PACED_JOB	 (4 * 1024 * 1024)
#define PACED_WINDOW_LOG 22

/* How often the output of one thread is flushed where that is asked for. Workers would have to wait
 * for each other. */
#define FLUSH_NS (NS_PER_S / 2)

struct encoder {
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
	char *in;
	char *out;
	size_t filled; /* bytes in `out` that the sink has not seen */
	uint64_t frame_size;
	const struct encode_pacer *pacer;
	bool framed; /* each stretch is a frame */
	bool workers;
	char tail[4];	       /* the last bytes that came out */
	struct seektable seek; /* of the frames so far */
};

static int set_parameter(ZSTD_CCtx *cctx, ZSTD_cParameter parameter, int value, const char *what,
			 struct mn_error *e)
{
	size_t result = ZSTD_CCtx_setParameter(cctx, parameter, value);

	if (!ZSTD_isError(result))
		return 0;
	return mn_fail(e, MN_USAGE, EINVAL, "bad %s %d: %s", what, value,
		       ZSTD_getErrorName(result));
}

static int set_parameters(ZSTD_CCtx *cctx, const struct encode_options *o, struct mn_error *e)
{
	int err = set_parameter(cctx, ZSTD_c_compressionLevel, o->level, "level", e);

	if (!err)
		err = set_parameter(cctx, ZSTD_c_checksumFlag, !o->no_checksum, "checksum", e);
	if (!err && o->workers > 0)
		err = set_parameter(cctx, ZSTD_c_nbWorkers, o->workers, "number of threads", e);
	if (!err && o->long_window) {
		err = set_parameter(cctx, ZSTD_c_enableLongDistanceMatching, 1, "switch", e);
		if (!err)
			err = set_parameter(cctx, ZSTD_c_windowLog, o->long_window, "window", e);
	}
	return err;
}

static int set_stretches(struct encoder *z, const struct encode_options *o, struct mn_error *e)
{
	int err = 0;

	z->pacer = o->pacer;
	z->frame_size = o->frame_size;
	z->framed = o->frame_size || (o->pacer && o->workers == 0);
	z->workers = o->workers > 0;
	z->seek.checksums = !o->no_checksum;
	if (o->workers == 0)
		return 0;
	/* Workers have something to do within one frame: not before its end is the next begun. */
	if (o->frame_size)
		return set_parameter(z->cctx, ZSTD_c_jobSize,
				     (int)(o->frame_size / (unsigned)o->workers), "frame size", e);
	if (o->pacer)
		err = set_parameter(z->cctx, ZSTD_c_jobSize, PACED_JOB, "job", e);
	if (!err && o->pacer && !o->long_window)
		err = set_parameter(z->cctx, ZSTD_c_windowLog, PACED_WINDOW_LOG, "window", e);
	return err;
}

int encoder_open(struct encoder **out, const struct encode_options *o, struct mn_error *e)
{
	struct encoder *z = calloc(1, sizeof(*z));
	int err;

	if (!z)
		return mn_fail_errno(e, ENOMEM, "compression");
	z->cctx = ZSTD_createCCtx();
	z->dctx = ZSTD_createDCtx();
	z->in = aligned_alloc(4096, INPUT_PIECE);
	z->out = aligned_alloc(4096, SPACE_PIECE);
	if (!z->cctx || !z->dctx || !z->in || !z->out)
		err = mn_fail_errno(e, ENOMEM, "compression");
	else
		err = set_parameters(z->cctx, o, e);
	if (!err)
		err = set_stretches(z, o, e);
	if (!err && o->window_max &&
	    ZSTD_isError(ZSTD_DCtx_setParameter(z->dctx, ZSTD_d_windowLogMax, o->window_max)))
		err = mn_fail(e, MN_USAGE, EINVAL, "bad window %d", o->window_max);
	if (!err && o->no_checksum)
		ZSTD_DCtx_setParameter(z->dctx, ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
	if (err)
		encoder_close(z);
	else
		*out = z;
	return err;
}

void encoder_close(struct encoder *z)
{
	if (!z)
		return;
	ZSTD_freeCCtx(z->cctx);
	ZSTD_freeDCtx(z->dctx);
	free(z->in);
	free(z->out);
	seektable_free(&z->seek);
	free(z);
}

static int drain(struct encoder *z, const struct sink *to, struct encode_counts *counts)
{
	int err = z->filled ? sink_write(to, z->out, z->filled) : 0;

	if (!err)
		counts->out += z->filled;
	z->filled = 0;
	return err;
}

/* Keeps the last bytes of what came out: those of a frame are its checksum. */
static void keep_tail(struct encoder *z, size_t from, size_t to)
{
	size_t n = to - from < sizeof(z->tail) ? to - from : sizeof(z->tail);

	memmove(z->tail, z->tail + n, sizeof(z->tail) - n);
	memcpy(z->tail + sizeof(z->tail) - n, z->out + to - n, n);
}

/* Compresses one piece; the sink sees full pieces only, and the rest when `mode` asks for it. */
static int encode_piece(struct encoder *z, size_t size, ZSTD_EndDirective mode,
			const struct sink *to, struct encode_counts *counts)
{
	ZSTD_inBuffer in = {.src = z->in, .size = size};
	size_t left;

	do {
		ZSTD_outBuffer out = {.dst = z->out, .size = SPACE_PIECE, .pos = z->filled};
		int err = 0;

		left = ZSTD_compressStream2(z->cctx, &out, &in, mode);
		if (ZSTD_isError(left))
			return -EIO;
		keep_tail(z, z->filled, out.pos);
		z->filled = out.pos;
		if (out.pos == out.size)
			err = drain(z, to, counts);
		if (err)
			return err;
	} while (mode == ZSTD_e_continue ? in.pos < in.size : left > 0);
	return 0;
}

/* One input on its way: a stretch has one level, and is a frame or a part of one. */
struct encoding {
	struct encoder *z;
	struct source *from;
	struct encode_counts *counts;
	bool open;	    /* a frame is */
	uint64_t left;	    /* of the stretch */
	uint64_t in0, out0; /* counts when the frame began */
	bool flush;
	int64_t flushed_ns;
};

static uint64_t rest_of(const struct encoding *g)
{
	return g->from->size == SOURCE_SIZE_UNKNOWN ? SOURCE_SIZE_UNKNOWN
						    : g->from->size - g->counts->in;
}

/* What was compressed so far: workers have taken in more than they have done. */
static struct encode_counts done(const struct encoding *g)
{
	struct encode_counts all = {g->counts->in, g->counts->out + g->z->filled};
	ZSTD_frameProgression p;

	if (g->z->framed || !g->open)
		return all;
	p = ZSTD_getFrameProgression(g->z->cctx);
	return (struct encode_counts){p.consumed, p.produced};
}

static int stretch_begin(struct encoding *g)
{
	struct encoder *z = g->z;
	size_t result = 0;

	g->left = UINT64_MAX;
	if (z->pacer) {
		struct encode_counts counts = done(g);
		int level = z->pacer->next(z->pacer->cookie, &counts, rest_of(g), &g->left);

		result = ZSTD_CCtx_setParameter(z->cctx, ZSTD_c_compressionLevel, level);
	}
	if (z->frame_size)
		g->left = z->frame_size;
	return ZSTD_isError(result) ? -EIO : 0;
}

static void frame_begin(struct encoding *g)
{
	uint64_t rest = rest_of(g);

	ZSTD_CCtx_reset(g->z->cctx, ZSTD_reset_session_only);
	if (rest != SOURCE_SIZE_UNKNOWN)
		ZSTD_CCtx_setPledgedSrcSize(g->z->cctx,
					    g->z->framed && g->left < rest ? g->left : rest);
	g->in0 = g->counts->in;
	g->out0 = g->counts->out + g->z->filled;
	g->open = true;
}

static int frame_end(struct encoding *g)
{
	uint64_t out = g->counts->out + g->z->filled;
	struct seek_entry entry = {.frame = (uint32_t)(out - g->out0),
				   .content = (uint32_t)(g->counts->in - g->in0)};

	g->open = false;
	g->left = 0;
	if (!g->z->frame_size)
		return 0;
	memcpy(&entry.checksum, g->z->tail, sizeof(entry.checksum));
	entry.checksum = le32toh(entry.checksum);
	return seektable_add(&g->z->seek, entry);
}

static bool flush_due(struct encoding *g, bool pause)
{
	const int64_t now = clock_ns();

	if (!g->flush || (!pause && (g->z->workers || now - g->flushed_ns < FLUSH_NS)))
		return false;
	g->flushed_ns = now;
	return true;
}

static int encode_step(struct encoding *g, const struct sink *to, bool *more)
{
	struct encoder *z = g->z;
	int err = g->left == 0 ? stretch_begin(g) : 0;
	size_t want = g->left < INPUT_PIECE ? (size_t)g->left : INPUT_PIECE;
	ssize_t n = err ? err : source_read(g->from, z->in, want, more);
	bool pause = n < (ssize_t)want && *more, flush = flush_due(g, pause), ends;

	if (n < 0)
		return (int)n;
	if (n == 0 && !*more && !g->open && g->counts->in > 0)
		return 0; /* the last frame took all there was */
	if (!g->open)
		frame_begin(g);
	g->left -= (uint64_t)n;
	ends = !*more || (z->framed && g->left == 0);
	err = encode_piece(z, (size_t)n,
			   ends	   ? ZSTD_e_end
			   : flush ? ZSTD_e_flush
				   : ZSTD_e_continue,
			   to, g->counts);
	g->counts->in += (uint64_t)n;
	if (!err && ends)
		err = frame_end(g);
	if (!err && flush)
		err = drain(z, to, g->counts);
	return !err && pause ? sink_idle(to) : err;
}

int encode(struct encoder *z, struct source *from, const struct sink *to, bool flush,
	   struct encode_counts *counts)
{
	struct encoding g = {
		.z = z, .from = from, .counts = counts, .flush = flush, .flushed_ns = clock_ns()};
	const size_t frames = z->seek.count;
	bool more = true;
	int err = 0;

	z->filled = 0;
	while (more && !err)
		err = encode_step(&g, to, &more);
	if (!err)
		err = drain(z, to, counts);
	if (err)
		z->seek.count = frames;
	return err;
}

int encode_end(struct encoder *z, const struct sink *to, struct encode_counts *counts)
{
	return seektable_write(&z->seek, to, &counts->out);
}

static int decode_error(size_t result)
{
	switch (ZSTD_getErrorCode(result)) {
	case ZSTD_error_prefix_unknown: return -EBADMSG;
	case ZSTD_error_frameParameter_windowTooLarge: return -EOVERFLOW;
	case ZSTD_error_memory_allocation: return -ENOMEM;
	default: return -EPROTO;
	}
}

/* *left: 0 when a frame ended with the piece. */
static int decode_piece(struct encoder *z, size_t size, const struct sink *to, size_t *left,
			struct encode_counts *counts)
{
	ZSTD_inBuffer in = {.src = z->in, .size = size};
	bool full;

	do {
		ZSTD_outBuffer out = {.dst = z->out, .size = SPACE_PIECE, .pos = z->filled};
		int err = 0;

		*left = ZSTD_decompressStream(z->dctx, &out, &in);
		if (ZSTD_isError(*left))
			return decode_error(*left);
		z->filled = out.pos;
		full = out.pos == out.size;
		if (full)
			err = drain(z, to, counts);
		if (err)
			return err;
	} while (in.pos < in.size || (full && *left));
	return 0;
}

/* As zstd(1) tells them: by the first four bytes. */
static bool begins_a_frame(const char *data, size_t size)
{
	uint32_t magic;

	if (size < sizeof(magic))
		return false;
	memcpy(&magic, data, sizeof(magic));
	magic = le32toh(magic);
	return magic == ZSTD_MAGICNUMBER ||
	       (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

/* Copies what came, `n` bytes of it in the buffer, and what is to come. */
static int copy(struct encoder *z, struct source *from, const struct sink *to, ssize_t n, bool more,
		struct encode_counts *counts)
{
	for (;;) {
		int err = n < 0 ? (int)n : n > 0 ? sink_write(to, z->in, (size_t)n) : 0;

		if (err)
			return err;
		counts->in += (uint64_t)n;
		counts->out += (uint64_t)n;
		if (!more)
			return 0;
		n = source_read(from, z->in, INPUT_PIECE, &more);
	}
}

int decode(struct encoder *z, struct source *from, const struct sink *to, bool pass_through,
	   struct encode_counts *counts)
{
	bool more = true;
	size_t left = 1;

	z->filled = 0;
	ZSTD_DCtx_reset(z->dctx, ZSTD_reset_session_only);
	while (more) {
		ssize_t n = source_read(from, z->in, INPUT_PIECE, &more);
		int err = n < 0 ? (int)n : 0;

		if (pass_through && counts->in == 0 && n > 0 && !begins_a_frame(z->in, (size_t)n))
			return copy(z, from, to, n, more, counts);
		if (!err && n > 0)
			err = decode_piece(z, (size_t)n, to, &left, counts);
		if (err)
			return err;
		counts->in += (uint64_t)n;
	}
	if (left != 0)
		return counts->in == 0 ? -EBADMSG : -EPIPE;
	return drain(z, to, counts);
}

int encode_fail(const char *name, int err, struct mn_error *e)
{
	switch (err) {
	case -EBADMSG: return mn_fail(e, MN_FAILED, -err, "%s: not in zstd format", name);
	case -EPROTO: return mn_fail(e, MN_FAILED, -err, "%s: damaged", name);
	case -EPIPE: return mn_fail(e, MN_FAILED, -err, "%s: ends too early", name);
	case -ESTALE: return mn_fail(e, MN_FAILED, -err, "%s: became shorter meanwhile", name);
	case -EOVERFLOW:
		return mn_fail(e, MN_FAILED, -err,
			       "%s: wants a larger window (--long=31 allows the largest)", name);
	default: return mn_fail_errno(e, -err, "%s", name);
	}
}
