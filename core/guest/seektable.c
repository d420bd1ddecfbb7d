#include "guest/seektable.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define HEADER 8 /* bytes: magic number, size of what follows */

int seektable_add(struct seektable *t, struct seek_entry entry)
{
	if (t->count == SEEK_FRAMES_MAX)
		return -EFBIG;
	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		struct seek_entry *more = realloc(t->entry, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->entry = more;
		t->room = room;
	}
	t->entry[t->count++] = entry;
	return 0;
}

static char *put32(char *at, uint32_t value)
{
	value = htole32(value);
	return (char *)memcpy(at, &value, sizeof(value)) + sizeof(value);
}

static void fill(const struct seektable *t, char *at, size_t size)
{
	at = put32(at, SEEK_SKIPPABLE);
	at = put32(at, (uint32_t)(size - HEADER));
	for (size_t i = 0; i < t->count; i++) {
		at = put32(at, t->entry[i].frame);
		at = put32(at, t->entry[i].content);
		if (t->checksums)
			at = put32(at, t->entry[i].checksum);
	}
	at = put32(at, (uint32_t)t->count);
	*at++ = (char)(t->checksums ? SEEK_CHECKSUMS : 0);
	put32(at, SEEK_MAGIC);
}

int seektable_write(struct seektable *t, const struct sink *to, uint64_t *out)
{
	size_t size = HEADER + t->count * (t->checksums ? 12 : 8) + SEEK_FOOTER;
	cleanup_free char *table = t->count ? malloc(size) : NULL;
	int err;

	if (t->count == 0)
		return 0;
	if (table)
		fill(t, table, size);
	t->count = 0;
	if (!table)
		return -ENOMEM;
	err = sink_write(to, table, size);
	if (!err)
		*out += size;
	return err;
}

void seektable_free(struct seektable *t)
{
	free(t->entry);
	*t = (struct seektable){0};
}
