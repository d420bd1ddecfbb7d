/* JSON: a peer's, taken apart with care, and ours, quoted. */
#include "base/json.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "tests/tap.h"

/* From a copy that ends where the text does, for the sanitizer to see a read past it. */
static cJSON *parse_n(const char *text, size_t size)
{
	char *copy = malloc(size ? size : 1);
	cJSON *json;

	if (!copy)
		abort();
	memcpy(copy, text, size);
	json = json_parse(copy, size);
	free(copy);
	return json;
}

static cJSON *parse(const char *text)
{
	return parse_n(text, strlen(text));
}

static bool parses(const char *text, size_t size)
{
	cleanup_json cJSON *json = parse_n(text, size);

	return json != NULL;
}

static void whole_values(void)
{
	static const char *const good[] = {
		"{}", "[]",	" {} ", "\n\t[1, 2]\r\n", "\"x\"",
		"1",  "-1.5e3", "true", "{\"a\":[]}",	  "null",
	};
	static const char *const bad[] = {
		"",	   " ",		"{",	       "}",	"{}x",	 "{} {}",
		"[1,]x",   "{\"a\":1",	"\"x",	       "[1 2]", "{a:1}", "'x'",
		"nul",	   "{\"a\" 1}", "{\"a\"}",     "[",	"\"\\",	 "\"\\u",
		"\"\\u12", "{\"1\":1,", "\"\\ud800\"", "\xff",	"{}\v",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		ok(parses(good[i], strlen(good[i])), "taken: %zu", i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ok(!parses(bad[i], strlen(bad[i])), "refused: %zu", i);
	ok(!parses("{}\0", 3), "a NUL behind");
	ok(!parses("{}\0{}", 5), "a NUL, and more behind");
	ok(!parses("\0{}", 3), "a NUL in front");
	ok(!parses("[\"\0\"]", 5), "a NUL in a string");
	ok(!parses("\v{}", 3), "white space that is none");
	ok(!parses("\xef\xbb\xbf", 3), "a byte order mark and nothing");
}

/* `depth` brackets open and closed, alternating kinds in step. */
static bool nests(size_t depth, char open, char close)
{
	static char text[200000];

	memset(text, open, depth);
	memset(text + depth, close, depth);
	return parses(text, 2 * depth);
}

static void depth(void)
{
	cleanup_json cJSON *brackets = parse("[\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]");
	cleanup_json cJSON *flat =
		parse("[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
		      "[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]");

	ok(nests(JSON_DEPTH_MAX, '[', ']'), "as deep as allowed");
	ok(!nests(JSON_DEPTH_MAX + 1, '[', ']'), "one deeper");
	ok(!nests(100000, '[', ']'), "deep enough for a stack to end");
	ok(!nests(100000, '{', '}'), "the same with braces");
	ok(brackets != NULL, "brackets in a string are not nested");
	ok(flat != NULL, "nor are those beside each other");
}

/* Whether a list of so many numbers is taken. */
static bool lists(size_t n)
{
	cleanup_free char *text = malloc(2 * n + 2);
	cleanup_json cJSON *json = NULL;

	if (!text)
		abort();
	for (size_t i = 0; i < n; i++)
		memcpy(text + 2 * i, i ? ",0" : "[0", 2);
	text[2 * n] = ']';
	json = json_parse(text, 2 * n + 1);
	return cJSON_GetArraySize(json) == (int)n;
}

static void values(void)
{
	cleanup_json cJSON *commas = NULL;
	static char text[JSON_VALUES_MAX + 3];

	ok(lists(JSON_VALUES_MAX - 1), "as many values as allowed, the list one of them");
	ok(!lists(JSON_VALUES_MAX), "one more");
	memset(text, ',', sizeof(text));
	text[0] = text[sizeof(text) - 1] = '"';
	commas = json_parse(text, sizeof(text));
	ok(cJSON_IsString(commas), "commas in a string are no values");
}

static void members(void)
{
	cleanup_json cJSON *json = parse("{\"s\":\"x\",\"n\":5,\"t\":true,\"f\":false,\"N\":null}");
	int64_t n;

	is_str(json_string(json, "s"), "x", "a string");
	is_str(json_string(json, "n"), NULL, "a number is none");
	is_str(json_string(json, "N"), NULL, "nor is null");
	is_str(json_string(json, "S"), NULL, "names have case");
	is_str(json_string(NULL, "s"), NULL, "of nothing, nothing");
	ok(json_true(json, "t"), "true");
	ok(!json_true(json, "f") && !json_true(json, "s") && !json_true(json, "x"),
	   "all else is not");
	is_int(json_integer(json, "s", 0, 9, &n), -EINVAL, "a string is no number");
	is_int(json_integer(json, "x", 0, 9, &n), -EINVAL, "nor is what is absent");
	is_int(json_integer(NULL, "x", 0, 9, &n), -EINVAL, "nor a member of nothing");
}

static int integer(const char *number, int64_t min, int64_t max, int64_t *n)
{
	char text[128];

	snprintf(text, sizeof(text), "{\"n\":%s}", number);
	cleanup_json cJSON *json = parse(text);
	*n = -99;
	return json_integer(json, "n", min, max, n);
}

static void integers(void)
{
	static const char *const bad[] = {
		"11",	  "-11", "1.5",	  "1e99", "-1e99", "1e999",
		"-1e999", "NaN", "\"5\"", "[5]",  "1e-1",
	};
	int64_t n;

	ok(integer("-10", -10, 10, &n) == 0 && n == -10, "the least");
	ok(integer("10", -10, 10, &n) == 0 && n == 10, "the most");
	ok(integer("1e1", -10, 10, &n) == 0 && n == 10, "with an exponent");
	ok(integer("9007199254740992", 0, 1LL << 53, &n) == 0 && n == 1LL << 53, "2^53");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		is_int(integer(bad[i], -10, 10, &n), -EINVAL, "%s is refused", bad[i]);
		is_int(n, -99, "and not stored");
	}
	/* Would be undefined to convert. */
	is_int(integer("9223372036854775808", INT64_MIN, INT64_MAX, &n), -EINVAL, "2^63");
	is_int(integer("1e300", INT64_MIN, INT64_MAX, &n), -EINVAL, "far above");
	is_int(integer("-9223372036854775808", INT64_MIN, INT64_MAX, &n), 0, "-2^63 fits");
}

static void quotes(const char *text, const char *want, const char *what)
{
	char buf[256];
	int n = json_quote(text, buf, sizeof(buf));

	is_str(buf, want, "%s", what);
	is_int(n, (int)strlen(want), "its length");
	for (size_t size = 0; size <= strlen(want); size++) {
		if (json_quote(text, buf, size) != -ENOSPC)
			ok(false, "%zu bytes are too few", size);
	}
	is_int(json_quote(text, buf, strlen(want) + 1), n, "just enough room");
}

static void quoting(void)
{
	quotes("", "\"\"", "nothing");
	quotes("web1/out", "\"web1/out\"", "a name");
	quotes("a\"b\\c", "\"a\\\"b\\\\c\"", "quotes and backslashes");
	quotes("\n\t\033\177", "\"\\u000a\\u0009\\u001b\\u007f\"", "control characters");
	quotes("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
	       "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
	       "UTF-8 of two, three and four bytes");
	quotes("\xff"
	       "a",
	       "\"\\ufffda\"", "a byte that is never UTF-8");
	quotes("\x80", "\"\\ufffd\"", "a continuation alone");
	quotes("\xc3", "\"\\ufffd\"", "a sequence cut short");
	quotes("\xe2\x82", "\"\\ufffd\\ufffd\"", "a longer one cut short");
	quotes("\xf0\x9f\x98", "\"\\ufffd\\ufffd\\ufffd\"", "the longest cut short");
	quotes("\xc0\xaf", "\"\\ufffd\\ufffd\"", "an overlong slash");
	quotes("\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"", "an overlong one of three");
	quotes("\xf0\x80\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"", "an overlong one of four");
	quotes("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"", "a surrogate");
	quotes("\xed\x9f\xbf\xee\x80\x80", "\"\xed\x9f\xbf\xee\x80\x80\"", "its neighbours");
	quotes("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"", "past the last character");
	quotes("\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"", "the last character");
}

static void texts(void)
{
	cleanup_json cJSON *json = cJSON_CreateObject();
	char worst[300], *text;

	memset(worst, 1, sizeof(worst) - 1);
	worst[sizeof(worst) - 1] = '\0';
	json_add_text(json, "a", "caf\xe9");
	json_add_text(json, "b", worst);
	text = cJSON_PrintUnformatted(json);
	is_int((int)strlen(text), (int)strlen("{\"a\":\"caf\\ufffd\",\"b\":\"\"}") + 299 * 6,
	       "members of any bytes");
	ok(strncmp(text, "{\"a\":\"caf\\ufffd\",\"b\":\"\\u0001", 28) == 0, "are JSON");
	free(text);
}

/* Whatever the bytes, a JSON parser takes the result; where they were UTF-8 it gives them back. */
static void round_trips(void)
{
	char text[8] = "", buf[64];
	int failed = 0;
	uint32_t x = 1;

	for (int i = 0; i < 200000; i++) {
		for (int k = 0; k < 7; k++) {
			x = x * 1664525 + 1013904223;
			text[k] = (char)(x >> 24);
		}
		int n = json_quote(text, buf, sizeof(buf));
		cleanup_json cJSON *json = n > 0 ? json_parse(buf, (size_t)n) : NULL;
		const char *back = cJSON_GetStringValue(json);

		if (!back || (!strstr(buf, "\\ufffd") && strcmp(back, text) != 0))
			failed++;
	}
	is_int(failed, 0, "random bytes, quoted, are JSON");
}

int main(void)
{
	whole_values();
	depth();
	values();
	members();
	integers();
	quoting();
	round_trips();
	texts();
	return done_testing();
}
