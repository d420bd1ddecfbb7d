#include "host/playlist.h"

#include <string.h>

static bool begins(struct http_text line, const char *with)
{
	const size_t size = strlen(with);

	return line.size >= size && memcmp(line.at, with, size) == 0;
}

/* The digits of `t`, all of it: 0 to 10^18 - 1, or -1. */
static int64_t number(struct http_text t)
{
	int64_t n = 0;

	if (t.size == 0 || t.size > 18)
		return -1;
	for (size_t i = 0; i < t.size; i++) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return -1;
		n = n * 10 + (t.at[i] - '0');
	}
	return n;
}

static struct http_text behind(struct http_text line, const char *tag)
{
	const size_t size = strlen(tag);

	return (struct http_text){line.at + size, line.size - size};
}

/* What the lines have said so far. */
struct reading {
	struct playlist *p;
	int64_t first, segments;
	bool ended;
};

static void take_tag(struct reading *r, struct http_text line)
{
	if (begins(line, "#EXT-X-MEDIA-SEQUENCE:"))
		r->first = number(behind(line, "#EXT-X-MEDIA-SEQUENCE:"));
	else if (begins(line, "#EXT-X-TARGETDURATION:"))
		r->p->target_s = number(behind(line, "#EXT-X-TARGETDURATION:"));
	else if (begins(line, "#EXT-X-SERVER-CONTROL:"))
		r->p->controlled = true;
	else if (begins(line, "#EXT-X-ENDLIST") || begins(line, "#EXT-X-STREAM-INF:") ||
		 begins(line, "#EXT-X-PLAYLIST-TYPE:VOD"))
		r->ended = true;
}

/* The next whole line without its end; false: there is none. */
static bool next_line(const char **at, const char *end, struct http_text *line)
{
	const char *lf = memchr(*at, '\n', (size_t)(end - *at));

	if (!lf)
		return false;
	*line = (struct http_text){*at, (size_t)(lf - *at)};
	if (line->size > 0 && lf[-1] == '\r')
		line->size--;
	*at = lf + 1;
	return true;
}

bool playlist_parse(const char *text, size_t size, struct playlist *p)
{
	const char *at = text, *end = text + size;
	struct reading r = {.p = p};
	struct http_text line;

	*p = (struct playlist){0};
	if (!next_line(&at, end, &line) || line.size != 7 || !begins(line, "#EXTM3U"))
		return false;
	p->first_line = (size_t)(at - text);
	while (next_line(&at, end, &line)) {
		if (line.size > 0 && *line.at == '#')
			take_tag(&r, line);
		else if (line.size > 0)
			r.segments++;
	}
	p->next = r.first + r.segments;
	return !r.ended && r.first >= 0 && p->target_s > 0;
}

static bool take_number(struct http_text parameter, const char *name, int64_t *n)
{
	if (*n >= 0)
		return false;
	*n = number(behind(parameter, name));
	return *n >= 0;
}

int playlist_wanted(struct http_text query, int64_t *msn)
{
	const char *at = query.at, *end = at ? at + query.size : at;
	int64_t part = -1;
	bool good = true;

	*msn = -1;
	while (at && at < end) {
		const char *stop = memchr(at, '&', (size_t)(end - at));
		const struct http_text one = {at, (size_t)((stop ? stop : end) - at)};

		if (begins(one, "_HLS_msn="))
			good &= take_number(one, "_HLS_msn=", msn);
		else if (begins(one, "_HLS_part="))
			good &= take_number(one, "_HLS_part=", &part);
		at = stop ? stop + 1 : end;
	}
	if (!good || (part >= 0 && *msn < 0))
		return -1;
	return *msn >= 0;
}
