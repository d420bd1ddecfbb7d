/* Ranges and dates, by tables. */
#include "host/http_range.h"

#include <time.h>

#include "tests/tap.h"

static struct http_text text(const char *s)
{
	return (struct http_text){s, strlen(s)};
}

#define EVER RANGE_FOREVER

static const struct {
	const char *field;
	int64_t size;
	bool growing;
	int count;
	struct byte_range first, second;
} cases[] = {
	{"bytes=0-0", 100, false, 1, {0, 0}, {0, 0}},
	{"bytes=10-19", 100, false, 1, {10, 19}, {0, 0}},
	{"BYTES=10-", 100, false, 1, {10, 99}, {0, 0}},
	{"bytes=10-1000", 100, false, 1, {10, 99}, {0, 0}},
	{"bytes=99999999999999999999-", 100, false, -1, {0, 0}, {0, 0}},
	{"bytes=0-99999999999999999999", 100, false, 1, {0, 99}, {0, 0}},
	{"bytes=-10", 100, false, 1, {90, 99}, {0, 0}},
	{"bytes=-1000", 100, false, 1, {0, 99}, {0, 0}},
	{"bytes=-0", 100, false, -1, {0, 0}, {0, 0}},
	{"bytes=100-", 100, false, -1, {0, 0}, {0, 0}},
	{"bytes=0-", 0, false, -1, {0, 0}, {0, 0}},
	{"bytes=-1", 0, false, 0, {0, 0}, {0, 0}},
	{"bytes=-0", 0, false, -1, {0, 0}, {0, 0}},
	{"bytes=-1", 0, true, 1, {0, EVER}, {0, 0}},
	{"bytes=5-4", 100, false, -1, {0, 0}, {0, 0}},
	{"bytes=a-", 100, false, -1, {0, 0}, {0, 0}},
	{"bytes=-", 100, false, -1, {0, 0}, {0, 0}},
	{"bytes=1", 100, false, -1, {0, 0}, {0, 0}},
	{"bytes=0-1x", 100, false, -1, {0, 0}, {0, 0}},
	{"bytes=", 100, false, -1, {0, 0}, {0, 0}},
	{"lines=0-1", 100, false, 0, {0, 0}, {0, 0}},
	{"bytes 0-1", 100, false, 0, {0, 0}, {0, 0}},
	{"", 100, false, 0, {0, 0}, {0, 0}},
	{"bytes=0-1,5-6", 100, false, 2, {0, 1}, {5, 6}},
	{"bytes=0-1 , 5-6", 100, false, 2, {0, 1}, {5, 6}},
	{"bytes=0-1,200-300", 100, false, 1, {0, 1}, {0, 0}},
	{"bytes=200-,5-6", 100, false, 1, {5, 6}, {0, 0}},
	{"bytes=0-99,0-99", 100, false, 0, {0, 0}, {0, 0}},
	{"bytes=10-", 100, true, 1, {10, EVER}, {0, 0}},
	{"bytes=100-", 100, true, 1, {100, EVER}, {0, 0}},
	{"bytes=101-", 100, true, -1, {0, 0}, {0, 0}},
	{"bytes=10-50", 100, true, 1, {10, 50}, {0, 0}},
	{"bytes=10-9007199254740991", 100, true, 1, {10, EVER}, {0, 0}},
	{"bytes=10-9007199254740992", 100, true, 1, {10, EVER}, {0, 0}},
	{"bytes=-10", 100, true, 1, {90, EVER}, {0, 0}},
	{"bytes=10-100", 100, true, 1, {10, 99}, {0, 0}},
	{"bytes=10-9007199254740990", 100, true, 1, {10, 99}, {0, 0}},
	{"bytes=100-200", 100, true, -1, {0, 0}, {0, 0}},
	{"bytes=0-5", 0, true, -1, {0, 0}, {0, 0}},
	{"bytes=0-1,,5-6", 100, false, 2, {0, 1}, {5, 6}},
	{"bytes= , 0-1 , ,", 100, false, 1, {0, 1}, {0, 0}},
	{"bytes=,", 100, false, -1, {0, 0}, {0, 0}},
};

static void test_ranges(void)
{
	struct byte_range got[RANGES_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const int n = http_range_parse(text(cases[i].field), cases[i].size,
					       cases[i].growing, got);

		is_int(n, cases[i].count, "\"%s\" of %lld%s", cases[i].field,
		       (long long)cases[i].size, cases[i].growing ? ", growing" : "");
		if (n > 0)
			is_mem(&got[0], &cases[i].first, sizeof(got[0]), "the range");
		if (n > 1)
			is_mem(&got[1], &cases[i].second, sizeof(got[0]), "the second range");
	}
}

static void test_many(void)
{
	char field[8 + 4 * 64] = "bytes=";
	struct byte_range got[RANGES_MAX];

	for (int i = 0; i < RANGES_MAX + 1; i++)
		strcat(field, i ? ",1-1" : "1-1");
	is_int(http_range_parse(text(field), 1000, false, got), 0, "too many ranges are ignored");
}

static void test_dates(void)
{
	char buf[HTTP_DATE_MAX];
	int wrong = 0;

	http_date_format(784111777, buf);
	is_str(buf, "Sun, 06 Nov 1994 08:49:37 GMT", "a date is written");
	is_int(http_date_parse(text(buf)), 784111777, "and read");
	is_int(http_date_parse(text("Sunday, 06-Nov-94 08:49:37 GMT")), 784111777, "RFC 850's");
	is_int(http_date_parse(text("Sun Nov  6 08:49:37 1994")), 784111777, "asctime's");
	is_int(http_date_parse(text("Sun, 06 Foo 1994 08:49:37 GMT")), -1, "no month");
	is_int(http_date_parse(text("Sun, 06 Nov 1994 25:49:37 GMT")), -1, "no hour");
	is_int(http_date_parse(text("")), -1, "nothing");
	is_int(http_date_parse(text("x,")), -1, "next to nothing");
	is_int(http_date_parse((struct http_text){0}), -1, "no field");
	for (int64_t s = 0; s < 8000000000; s += 86400 * 13 + 3571) {
		const time_t t = (time_t)s;
		struct tm tm;
		char want[HTTP_DATE_MAX];

		gmtime_r(&t, &tm);
		strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		http_date_format(s, buf);
		wrong += strcmp(buf, want) != 0 || http_date_parse(text(buf)) != s;
	}
	is_int(wrong, 0, "as the C library writes them, from 1970 to 2223");
}

int main(void)
{
	test_ranges();
	test_many();
	test_dates();
	return done_testing();
}
