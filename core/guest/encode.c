#include "guest/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/cleanup.h"
#include "space/layout.h"

/* Input comes in smaller pieces than output goes: it costs a copy in our own kernel, not a round
 * trip. */
#define INPUT_PIECE ((size_t)256 * 1024)

struct encoder {
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
	char *in;
	char *out;
	size_t filled; /* bytes in `out` that the sink has not seen */
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
	if (!err && o->window_max &&
	    ZSTD_isError(ZSTD_DCtx_setParameter(z->dctx, ZSTD_d_windowLogMax, o->window_max)))
		err = mn_fail(e, MN_USAGE, EINVAL, "bad window %d", o->window_max);
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
		z->filled = out.pos;
		if (out.pos == out.size)
			err = drain(z, to, counts);
		if (err)
			return err;
	} while (mode == ZSTD_e_continue ? in.pos < in.size : left > 0);
	return mode == ZSTD_e_continue ? 0 : drain(z, to, counts);
}

int encode(struct encoder *z, struct source *from, const struct sink *to, bool flush,
	   struct encode_counts *counts)
{
	bool more = true;
	int err = 0;

	z->filled = 0;
	ZSTD_CCtx_reset(z->cctx, ZSTD_reset_session_only);
	if (from->size != SOURCE_SIZE_UNKNOWN)
		ZSTD_CCtx_setPledgedSrcSize(z->cctx, from->size);
	while (more && !err) {
		ssize_t n = source_read(from, z->in, INPUT_PIECE, &more);
		bool pause = n < (ssize_t)INPUT_PIECE && more;

		if (n < 0)
			return (int)n;
		err = encode_piece(z, (size_t)n,
				   !more	    ? ZSTD_e_end
				   : flush && pause ? ZSTD_e_flush
						    : ZSTD_e_continue,
				   to, counts);
		counts->in += (uint64_t)n;
		if (!err && pause)
			err = sink_idle(to);
	}
	return err;
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

int decode(struct encoder *z, struct source *from, const struct sink *to,
	   struct encode_counts *counts)
{
	bool more = true;
	size_t left = 1;

	z->filled = 0;
	ZSTD_DCtx_reset(z->dctx, ZSTD_reset_session_only);
	while (more) {
		ssize_t n = source_read(from, z->in, INPUT_PIECE, &more);
		int err = n < 0 ? (int)n : 0;

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
