#include "guest/frames.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_getFrameHeader() */
#include <zstd.h>

#include "guest/seektable.h"
#include "guest/stop.h"

#define WINDOW 4096 /* is read at a time: headers are small, and lie apart */

/* A file read forwards. */
struct reader {
	int fd;
	uint64_t size, at;
	uint64_t from; /* where `bytes` begin */
	size_t have;
	unsigned char bytes[WINDOW];
};

/* The next `want` bytes, which are in one piece, and there. 0, -EPIPE or -errno. */
static int peek(struct reader *r, size_t want, const unsigned char **bytes)
{
	ssize_t n;

	if (r->at > r->size || r->size - r->at < want)
		return -EPIPE;
	if (r->at < r->from || r->at + want > r->from + r->have) {
		if (stop_check())
			return -EINTR;
		n = pread(r->fd, r->bytes, sizeof(r->bytes), (off_t)r->at);
		r->from = r->at;
		r->have = n > 0 ? (size_t)n : 0;
		if (n < (ssize_t)want)
			return n < 0 ? -errno : -EPIPE;
	}
	*bytes = r->bytes + (r->at - r->from);
	return 0;
}

static uint32_t get32(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static int take32(struct reader *r, uint32_t *value)
{
	const unsigned char *bytes;
	int err = peek(r, 4, &bytes);

	if (err)
		return err;
	*value = get32(bytes);
	r->at += 4;
	return 0;
}

static int skip_blocks(struct reader *r)
{
	const unsigned char *bytes;
	bool last;

	do {
		int err = peek(r, 3, &bytes);
		uint32_t header =
			err ? 0 : bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
		unsigned type = header >> 1 & 3;

		if (err)
			return err;
		if (type == 3)
			return -EPROTO;
		last = header & 1;
		r->at += 3 + (type == 1 ? 1 : header >> 3);
	} while (!last);
	return r->at > r->size ? -EPIPE : 0;
}

static void add_content(struct frames *f, unsigned long long size)
{
	f->unknown |= size == ZSTD_CONTENTSIZE_UNKNOWN || size > INT64_MAX ||
		      f->content + size > INT64_MAX;
	if (!f->unknown)
		f->content += size;
}

static int content_frame(struct reader *r, struct frames *f)
{
	size_t room = r->size - r->at < ZSTD_FRAMEHEADERSIZE_MAX ? (size_t)(r->size - r->at)
								 : ZSTD_FRAMEHEADERSIZE_MAX;
	const unsigned char *bytes;
	ZSTD_frameHeader header;
	size_t result;
	int err = peek(r, room, &bytes);

	if (err)
		return err;
	result = ZSTD_getFrameHeader(&header, bytes, room);
	if (result)
		return ZSTD_isError(result) ? -EPROTO : -EPIPE;
	add_content(f, header.frameContentSize);
	f->window = header.windowSize > f->window ? header.windowSize : f->window;
	f->dictionary = f->frames == 0 || f->dictionary == header.dictID ? header.dictID : 0;
	f->frames++;
	r->at += header.headerSize;
	err = skip_blocks(r);
	if (!err && header.checksumFlag) {
		f->checked++;
		err = take32(r, &f->checksum);
	}
	return err;
}

/* Whether the skippable frame of `size` bytes at the end is a table of all the frames before. */
static int seek_frame(struct reader *r, uint32_t size, const struct frames *f, bool *seekable)
{
	uint64_t frames_end = r->at - 8, sum = 0, entry;
	const unsigned char *bytes;
	uint32_t count;
	int err;

	r->at += size - SEEK_FOOTER;
	err = peek(r, SEEK_FOOTER, &bytes);
	if (err)
		return err;
	count = get32(bytes);
	entry = bytes[4] & SEEK_CHECKSUMS ? 12 : 8;
	*seekable = get32(bytes + 5) == SEEK_MAGIC && !(bytes[4] & SEEK_RESERVED) &&
		    count * entry + SEEK_FOOTER == size && count == f->frames + f->skippable;
	r->at -= size - SEEK_FOOTER;
	for (uint32_t i = 0; *seekable && !err && i < count; i++) {
		err = peek(r, entry, &bytes);
		sum += err ? 0 : get32(bytes);
		r->at += entry;
	}
	*seekable = *seekable && sum == frames_end;
	r->at = frames_end + 8;
	return err;
}

static int skippable_frame(struct reader *r, struct frames *f)
{
	uint32_t magic = 0, size = 0;
	int err = take32(r, &magic);

	if (!err)
		err = take32(r, &size);
	if (!err && size > r->size - r->at)
		err = -EPIPE;
	if (!err && magic == SEEK_SKIPPABLE && size >= SEEK_FOOTER && r->at + size == r->size)
		err = seek_frame(r, size, f, &f->seekable);
	if (err)
		return err;
	f->skippable++;
	r->at += size;
	return 0;
}

static int one_frame(struct reader *r, struct frames *f)
{
	const unsigned char *bytes;
	uint32_t magic;
	int err = peek(r, 4, &bytes);

	if (err)
		return err == -EPIPE && r->at == 0 ? -EBADMSG : err;
	magic = get32(bytes);
	if (magic == ZSTD_MAGICNUMBER)
		return content_frame(r, f);
	if ((magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START)
		return skippable_frame(r, f);
	return -EBADMSG;
}

int frames_read(int fd, struct frames *f)
{
	struct reader r = {.fd = fd};
	struct stat st;
	int err;

	*f = (struct frames){0};
	if (fstat(fd, &st) < 0)
		return -errno;
	f->bytes = r.size = (uint64_t)st.st_size;
	do
		err = one_frame(&r, f);
	while (!err && r.at < r.size);
	return err;
}
