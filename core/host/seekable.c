#include "host/seekable.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define SKIPPABLE     0x184D2A5EU /* the table's first four bytes */
#define MAGIC	      0x8F92EAB1U /* its last four */
#define HEADER	      8		  /* SKIPPABLE, and the size of what follows */
#define FOOTER	      9		  /* the number of frames, a descriptor, MAGIC */
#define HAS_CHECKSUMS 0x80
#define RESERVED      0x7C

static uint32_t get32(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static bool read_at(int fd, int64_t at, void *to, size_t size)
{
	return at >= 0 && pread(fd, to, size, at) == (ssize_t)size;
}

/* What zstd may make of so many bytes, and as much again for who flushed it all the time. */
static bool plausible(const struct seekable_frame *f)
{
	return f->size <= SEEKABLE_FRAME_MAX &&
	       f->packed_size <= (uint64_t)f->size + f->size / 8 + 65536;
}

/* The frame behind *f, by its entry; false: nothing that can be one. */
static bool take_entry(const struct seekable *s, const unsigned char *entry,
		       struct seekable_frame *f)
{
	f->at += f->size;
	f->packed_at += f->packed_size;
	f->next++;
	f->packed_size = get32(entry);
	f->size = get32(entry + 4);
	f->checksum = s->entry_size > 8 ? get32(entry + 8) : 0;
	return plausible(f) && f->packed_at + f->packed_size <= s->packed_size;
}

#define ENTRIES 2048 /* read at a time */

/* Goes on from *f to the frame with the content's byte `to`, or to the last one. */
static int walk(int fd, const struct seekable *s, int64_t to, struct seekable_frame *f,
		uint32_t *largest)
{
	const int64_t table = s->packed_size + HEADER;
	const uint32_t first = f->next;
	unsigned char buf[ENTRIES * 12];

	for (uint32_t i = first; i < s->frames; i++) {
		const uint32_t left = s->frames - i, slot = (i - first) % ENTRIES;

		if (slot == 0 && !read_at(fd, table + (int64_t)i * s->entry_size, buf,
					  (left < ENTRIES ? left : ENTRIES) * s->entry_size))
			return -EBADMSG;
		if (!take_entry(s, buf + slot * s->entry_size, f))
			return -EBADMSG;
		if (f->size > *largest)
			*largest = f->size;
		if (f->at + f->size > to)
			return 0;
	}
	return 0;
}

static bool read_footer(int fd, int64_t file_size, struct seekable *s)
{
	unsigned char footer[FOOTER], header[HEADER];
	int64_t table_size;

	if (!read_at(fd, file_size - FOOTER, footer, FOOTER) || get32(footer + 5) != MAGIC ||
	    (footer[4] & RESERVED))
		return false;
	s->frames = get32(footer);
	s->entry_size = footer[4] & HAS_CHECKSUMS ? 12 : 8;
	if (s->frames == 0 || s->frames > SEEKABLE_FRAMES_MAX)
		return false;
	table_size = (int64_t)s->frames * s->entry_size + FOOTER;
	s->packed_size = file_size - table_size - HEADER;
	return read_at(fd, s->packed_size, header, HEADER) && get32(header) == SKIPPABLE &&
	       get32(header + 4) == table_size;
}

int seekable_open(int fd, int64_t file_size, struct seekable *s)
{
	struct seekable_frame last = {0};

	*s = (struct seekable){0};
	if (!read_footer(fd, file_size, s) || walk(fd, s, INT64_MAX, &last, &s->largest))
		return -ENODATA;
	s->size = last.at + last.size;
	return last.packed_at + last.packed_size == s->packed_size ? 0 : -ENODATA;
}

int seekable_find(int fd, const struct seekable *s, int64_t at, struct seekable_frame *frame)
{
	uint32_t largest = 0;
	const int err = frame->at + frame->size > at ? 0 : walk(fd, s, at, frame, &largest);

	return err ? err : frame->at + frame->size > at ? 0 : -EBADMSG;
}

int seekable_next(int fd, const struct seekable *s, struct seekable_frame *frame)
{
	const int64_t table = s->packed_size + HEADER;
	unsigned char entry[12];

	if (frame->next >= s->frames ||
	    !read_at(fd, table + (int64_t)frame->next * s->entry_size, entry, s->entry_size) ||
	    !take_entry(s, entry, frame))
		return -EBADMSG;
	/* Of empty ones there may be very many: not a read for each. */
	return frame->size > 0 ? 0 : seekable_find(fd, s, frame->at, frame);
}
