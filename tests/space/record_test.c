/* Records: written and taken back whole; anything else is dropped. */
#include "space/record.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/tap.h"

static const struct record example = {
	.id = "job-1-abcXYZ",
	.kind = RECORD_TRANSCODE,
	.status = RECORD_INTERRUPTED,
	.arrival_ns = 100,
	.start_ns = 200,
	.end_ns = 1000,
	.blocked_ns = 800,
	.cpu_ns = 5000,
	.bytes_in = 1LL << 53,
	.bytes_out = 0,
	.objects = 3,
	.frames = 100,
	.media_us = 4000000,
	.speed_milli = 12100,
};

/* From a copy that ends where the text does, for the sanitizer to see a read past it. */
static int parse_n(const char *text, size_t size, struct record *r)
{
	char *copy = malloc(size ? size : 1);
	int err;

	if (!copy)
		abort();
	memcpy(copy, text, size);
	err = record_parse(copy, size, r);
	free(copy);
	return err;
}

static bool same(const struct record *a, const struct record *b)
{
	return strcmp(a->id, b->id) == 0 && a->kind == b->kind && a->status == b->status &&
	       a->arrival_ns == b->arrival_ns && a->start_ns == b->start_ns &&
	       a->end_ns == b->end_ns && a->blocked_ns == b->blocked_ns && a->cpu_ns == b->cpu_ns &&
	       a->bytes_in == b->bytes_in && a->bytes_out == b->bytes_out &&
	       a->objects == b->objects && a->frames == b->frames && a->media_us == b->media_us &&
	       a->speed_milli == b->speed_milli;
}

static void there_and_back(void)
{
	char text[RECORD_MAX];
	struct record back;
	int n = record_format(&example, text, sizeof(text));

	is_int(n, (int)strlen(text), "formatted");
	ok(text[n - 1] == '\n' && !memchr(text, '\n', (size_t)n - 1), "as one line");
	is_int(parse_n(text, (size_t)n, &back), 0, "and parsed");
	ok(same(&example, &back), "every member comes back");
	for (enum record_kind k = RECORD_COMPRESS; k <= RECORD_TRANSCODE; k++) {
		for (enum record_status s = RECORD_DONE; s <= RECORD_INTERRUPTED; s++) {
			struct record r = example;

			r.kind = k;
			r.status = s;
			n = record_format(&r, text, sizeof(text));
			ok(parse_n(text, (size_t)n, &back) == 0 && same(&r, &back),
			   "kind %d, status %d", k, s);
		}
	}
}

/* A job without a word of a transcoder says nothing of frames. */
static void no_media(void)
{
	char text[RECORD_MAX];
	struct record r = example, back;
	int n;

	r.frames = r.media_us = r.speed_milli = 0;
	n = record_format(&r, text, sizeof(text));
	ok(n > 0 && !strstr(text, "frames"), "no frames, no member");
	ok(parse_n(text, (size_t)n, &back) == 0 && same(&r, &back), "and it comes back");
}

/* The longest there can be fits the file it goes into, with room to grow. */
static void room(void)
{
	char text[RECORD_MAX];
	struct record r = example;
	int n;

	memset(r.id, 'x', RECORD_ID_MAX);
	r.arrival_ns = r.start_ns = 0;
	r.end_ns = r.blocked_ns = r.cpu_ns = r.bytes_in = r.bytes_out = r.objects = 1LL << 53;
	r.frames = r.media_us = r.speed_milli = 1LL << 53;
	n = record_format(&r, text, sizeof(text));
	ok(n > 0 && n < RECORD_MAX / 2, "the longest record has %d bytes", n);
	is_int(parse_n(text, (size_t)n, &r), 0, "and is one");
	is_int(record_format(&r, text, (size_t)n + 1), n, "just enough room");
	is_int(record_format(&r, text, (size_t)n), -ENOSPC, "no room for the NUL");
	is_int(record_format(&r, text, 0), -ENOSPC, "no room at all");
}

/* The example with the first `from` replaced. */
static int altered(const char *from, const char *to)
{
	char text[RECORD_MAX], changed[2 * RECORD_MAX];
	struct record r;
	const char *at;

	record_format(&example, text, sizeof(text));
	at = strstr(text, from);
	if (!at) {
		ok(false, "%s is not in %s", from, text);
		return 1;
	}
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, to,
		 at + strlen(from));
	return parse_n(changed, strlen(changed), &r);
}

static void refused(void)
{
	static const struct {
		const char *from, *to;
	} bad[] = {
		{"\"schema\":1", "\"schema\":2"},
		{"\"schema\":1", "\"schema\":0"},
		{"\"schema\":1", "\"schema\":\"1\""},
		{"\"schema\":1,", ""},
		{"\"schema\"", "\"Schema\""},
		{"\"transcode\"", "\"encode\""},
		{"\"transcode\"", "null"},
		{"\"interrupted\"", "\"Done\""},
		{"\"interrupted\"", "0"},
		{"\"job-1-abcXYZ\"", "\"\""},
		{"\"job-1-abcXYZ\"", "7"},
		{"\"job-1-abcXYZ\"", "\"a/b\""},
		{"\"job-1-abcXYZ\"", "\"..\""},
		{"\"job-1-abcXYZ\"", "\"a.json\""},
		{"\"job-1-abcXYZ\"", "\"a\\n\""},
		{"\"job-1-abcXYZ\"", "\"caf\xc3\xa9\""},
		{"\"id\":", "\"ID\":"},
		{"\"cpu_ns\":5000", "\"cpu_ns\":-1"},
		{"\"cpu_ns\":5000", "\"cpu_ns\":0.5"},
		{"\"cpu_ns\":5000", "\"cpu_ns\":1e300"},
		{"\"cpu_ns\":5000", "\"cpu_ns\":[]"},
		{"\"cpu_ns\":5000", "\"cpu_ns\":\"5\""},
		{"\"cpu_ns\":5000,", ""},
		{"\"bytes_in\":9007199254740992", "\"bytes_in\":9007199254740994"},
		{",\"objects\":3", ""},
		{"\"frames\":100", "\"frames\":-1"},
		{"\"frames\":100", "\"frames\":1e300"},
		{"\"speed_milli\":12100", "\"speed_milli\":\"x\""},
		{"\"media_us\":4000000", "\"media_us\":null"},
		{"\"objects\":3", "\"objects\":true"},
		{"\"arrival_ns\":100", "\"arrival_ns\":201"},
		{"\"start_ns\":200", "\"start_ns\":1001"},
		{"\"blocked_ns\":800", "\"blocked_ns\":801"},
		{"\"end_ns\":1000", "\"end_ns\":999"},
		{"}\n", "}x"},
		{"}\n", ""},
		{"{", ""},
		{"{", "[{"},
	};
	struct record r;

	is_int(altered("5000", "5001"), 0, "a change that is none of these");
	is_int(altered("{", "{\"later\":[{}],"), 0, "a member of a later version is passed over");
	is_int(altered(",\"frames\":100,\"media_us\":4000000,\"speed_milli\":12100", ""), 0,
	       "what only transcoders say may be missing");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		is_int(altered(bad[i].from, bad[i].to), -EINVAL, "%.30s -> %.30s", bad[i].from,
		       bad[i].to);
	is_int(parse_n("", 0, &r), -EINVAL, "nothing");
	is_int(parse_n("[]", 2, &r), -EINVAL, "a list");
	is_int(parse_n("null", 4, &r), -EINVAL, "null");
}

static void bounds(void)
{
	static char text[RECORD_MAX + 2];
	char id[RECORD_ID_MAX + 4] = "\"";
	struct record r;
	int n = record_format(&example, text, sizeof(text));

	memset(text + n, ' ', sizeof(text) - (size_t)n);
	is_int(parse_n(text, RECORD_MAX, &r), 0, "a record of the most bytes allowed");
	is_int(parse_n(text, RECORD_MAX + 1, &r), -EINVAL, "one more");
	memset(id + 1, 'i', RECORD_ID_MAX);
	strcpy(id + 1 + RECORD_ID_MAX, "\"");
	is_int(altered("\"job-1-abcXYZ\"", id), 0, "an id of the most bytes allowed");
	strcpy(id + 1 + RECORD_ID_MAX, "i\"");
	is_int(altered("\"job-1-abcXYZ\"", id), -EINVAL, "one more");
	for (int cut = 0; cut < n - 1; cut++) {
		if (parse_n(text, (size_t)cut, &r) != -EINVAL)
			ok(false, "cut at %d", cut);
	}
	ok(true, "cut short anywhere, it is none");
}

int main(void)
{
	there_and_back();
	no_media();
	room();
	refused();
	bounds();
	return done_testing();
}
