#include "host/multipart.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct multipart *multipart_make(const char *type, int64_t size, const struct byte_range *ranges,
				 int count)
{
	const size_t ranges_size = (size_t)count * sizeof(*ranges);
	struct multipart *m;
	uint64_t boundary;

	/* Not to be known beforehand: the guest could write parts of its own into an object. */
	if (getrandom(&boundary, sizeof(boundary), 0) != sizeof(boundary))
		return NULL;
	m = malloc(sizeof(*m) + ranges_size);
	if (!m)
		return NULL;
	*m = (struct multipart){
		.type = type,
		.size = size,
		.boundary = boundary | 1ULL << 63, /* of one length, for HEAD as for GET */
		.count = count,
	};
	memcpy(m->range, ranges, ranges_size);
	return m;
}

static void put_boundary(const struct multipart *m, struct text *t)
{
	text_put(t, "memnet-");
	text_number(t, m->boundary, 16);
}

void multipart_put_type(const struct multipart *m, struct text *t)
{
	text_put(t, "multipart/byteranges; boundary=");
	put_boundary(m, t);
}

static void put_head(const struct multipart *m, int i, struct text *t)
{
	text_put(t, "\r\n--");
	put_boundary(m, t);
	if (i == m->count) {
		text_put(t, "--\r\n");
		return;
	}
	text_put(t, "\r\nContent-Type: ");
	text_put(t, m->type);
	text_put(t, "\r\n");
	http_range_put(t, m->range[i].first, m->range[i].last, m->size);
	text_put(t, "\r\n");
}

void multipart_put(const struct multipart *m, struct text *t)
{
	put_head(m, m->next, t);
}

int64_t multipart_length(const struct multipart *m)
{
	int64_t length = 0;

	for (int i = 0; i <= m->count; i++) {
		char buf[MULTIPART_HEAD_MAX];
		struct text t = {.buf = buf, .room = sizeof(buf)};

		put_head(m, i, &t);
		length += (int64_t)t.size;
		if (i < m->count)
			length += m->range[i].last - m->range[i].first + 1;
	}
	return length;
}

int64_t multipart_first(const struct multipart *m)
{
	int64_t first = m->range[0].first;

	for (int i = 1; i < m->count; i++) {
		if (m->range[i].first < first)
			first = m->range[i].first;
	}
	return first;
}
