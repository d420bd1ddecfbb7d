/* Playlists that grow: what a guest may write, and what a client may ask for. */
#include "host/playlist.h"

#include "tests/tap.h"

#define HEAD "#EXTM3U\n#EXT-X-TARGETDURATION:6\n"

static bool parse(const char *text, struct playlist *p)
{
	return playlist_parse(text, strlen(text), p);
}

static void test_segments(void)
{
	struct playlist p;

	ok(parse(HEAD "#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:6,\na.ts\n#EXTINF:6,\nb.ts\n", &p),
	   "a playlist that grows");
	is_int(p.next, 9, "the segment that comes next");
	is_int(p.target_s, 6, "the target duration");
	is_int((long long)p.first_line, 8, "the first line's size");
	ok(!p.controlled, "no promise of its own");
	ok(parse("#EXTM3U\r\n#EXT-X-TARGETDURATION:6\r\n\r\na.ts\r\n", &p), "CR LF");
	is_int(p.next, 1, "… and an empty line is no segment");
	is_int((long long)p.first_line, 9, "… the first line's size");
	ok(parse(HEAD "a.ts\nb.t", &p), "a line under way");
	is_int(p.next, 1, "… is not there yet");
	ok(parse(HEAD, &p), "no segments yet");
	is_int(p.next, 0, "… the first one comes next");
	ok(parse(HEAD "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=36\n", &p) && p.controlled,
	   "a promise of its own");
}

static void test_not_growing(void)
{
	static const char *const texts[] = {
		"",
		"#EXTM3U",
		"#EXTM3U8\n#EXT-X-TARGETDURATION:6\n",
		"\xef\xbb\xbf" HEAD,
		"#EXTM3U\na.ts\n",
		"#EXTM3U\n#EXT-X-TARGETDURATION:0\n",
		"#EXTM3U\n#EXT-X-TARGETDURATION:-6\n",
		"#EXTM3U\n#EXT-X-TARGETDURATION:9999999999999999999\n",
		HEAD "a.ts\n#EXT-X-ENDLIST\n",
		HEAD "#EXT-X-PLAYLIST-TYPE:VOD\na.ts\n",
		HEAD "#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n",
		HEAD "#EXT-X-MEDIA-SEQUENCE:x\na.ts\n",
		HEAD "#EXT-X-MEDIA-SEQUENCE:99999999999999999999\na.ts\n",
	};
	struct playlist p;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		ok(!parse(texts[i], &p), "nothing to wait for: %zu", i);
}

static void test_wanted(void)
{
	static const struct {
		const char *query;
		int want;
		int64_t msn;
	} cases[] = {
		{"", 0, -1},
		{"a=1&b", 0, -1},
		{"_HLS_msn=0", 1, 0},
		{"a=1&_HLS_msn=12&_HLS_part=3&_HLS_skip=YES", 1, 12},
		{"_HLS_part=3&_HLS_msn=12", 1, 12},
		{"x_HLS_msn=12", 0, -1},
		{"_HLS_msn=", -1, 0},
		{"_HLS_msn=-1", -1, 0},
		{"_HLS_msn=12&_HLS_msn=12", -1, 0},
		{"_HLS_part=1", -1, 0},
		{"_HLS_msn=1&_HLS_part=x", -1, 0},
		{"_HLS_msn=1000000000000000000", -1, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct http_text query = {cases[i].query, strlen(cases[i].query)};
		int64_t msn;

		is_int(playlist_wanted(query, &msn), cases[i].want, "?%s", cases[i].query);
		if (cases[i].want >= 0)
			is_int(msn, cases[i].msn, "… its number");
	}
	is_int(playlist_wanted((struct http_text){0}, &(int64_t){0}), 0, "no query");
}

int main(void)
{
	test_segments();
	test_not_growing();
	test_wanted();
	return done_testing();
}
