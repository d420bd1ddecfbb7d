#include "host/validator.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "host/http_range.h"

/*
 * The entity tag: which file it is, when it was written, how long it is. Giving back changes a
 * file's times but not the bytes that can still be had: no tag then, and none for what still grows.
 */
static bool has_tag(const struct object *o)
{
	return !o->live && o->given == 0;
}

#define ETAG_MAX 64
static bool entity_tag(const struct object *o, const char *form, struct text *t)
{
	const struct timespec *written = &o->st.st_mtim;

	if (!has_tag(o))
		return false;
	text_put(t, "\"");
	text_number(t, o->st.st_ino, 16);
	text_put(t, "-");
	text_number(t, (uint64_t)written->tv_sec * NS_PER_S + (uint64_t)written->tv_nsec, 16);
	text_put(t, "-");
	text_number(t, (uint64_t)o->st.st_size, 16);
	text_put(t, form);
	text_put(t, "\"");
	return true;
}

/* A tag in the list; `weak`: one with W/ in front will do. */
static bool list_has_tag(struct http_text list, const struct text *tag, bool weak)
{
	const char *end = list.at + list.size, *p = list.at;

	while ((p = memmem(p, (size_t)(end - p), tag->buf, tag->size)) != NULL) {
		if (weak || p < list.at + 2 || p[-1] != '/')
			return true;
		p += tag->size;
	}
	return false;
}

/* Whether the list has the object's tag, or is "*": anything that is there, with a tag or without.
 */
static bool list_has(struct http_text list, const struct object *o, const char *form, bool weak)
{
	char buf[ETAG_MAX];
	struct text tag = {.buf = buf, .room = sizeof(buf)};

	if (list.size == 1 && *list.at == '*')
		return true;
	return entity_tag(o, form, &tag) && list_has_tag(list, &tag, weak);
}

int validator_check(const struct http_request *r, const struct object *o, const char *form)
{
	const int64_t written = o->st.st_mtim.tv_sec;

	if (r->if_match.at) {
		if (!list_has(r->if_match, o, form, false))
			return 412;
	} else if (r->if_unmodified_since.at) {
		const int64_t then = http_date_parse(r->if_unmodified_since);

		if (then >= 0 && written > then)
			return 412;
	}
	if (r->if_none_match.at)
		return list_has(r->if_none_match, o, form, true) ? 304 : 0;
	if (r->if_modified_since.at && has_tag(o) &&
	    written <= http_date_parse(r->if_modified_since))
		return 304;
	return 0;
}

bool validator_range_counts(const struct http_request *r, const struct object *o, const char *form)
{
	char buf[ETAG_MAX];
	struct text tag = {.buf = buf, .room = sizeof(buf)};

	if (!r->range.at || !r->if_range.at)
		return r->range.at != NULL;
	if (!entity_tag(o, form, &tag))
		return false;
	if (r->if_range.size > 0 && r->if_range.at[0] == '"')
		return r->if_range.size == tag.size &&
		       memcmp(r->if_range.at, tag.buf, tag.size) == 0;
	/* What is written in a second may be written once more in it (RFC 9110, 8.8.2.2). */
	return http_date_parse(r->if_range) == o->st.st_mtim.tv_sec &&
	       o->st.st_mtim.tv_sec < time(NULL);
}

void validator_put(struct text *t, const struct object *o, const char *form, int64_t now_s)
{
	const int64_t mtime = o->st.st_mtim.tv_sec, written = mtime > now_s ? now_s : mtime;
	char date[HTTP_DATE_MAX];

	if (o->live)
		return;
	http_date_format(written < 0 ? 0 : written, date);
	text_put(t, "Last-Modified: ");
	text_put(t, date);
	text_put(t, "\r\n");
	if (o->given > 0)
		return;
	text_put(t, "ETag: ");
	entity_tag(o, form, t);
	text_put(t, "\r\n");
}
