#include "host/http_range.h"

#include <string.h>
#include <strings.h>

struct cursor {
	const char *at, *end;
};

static void skip_blanks(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
}

static bool take_char(struct cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

/* A number, saturated at RANGE_FOREVER; -1 where there is none. */
static int64_t take_number(struct cursor *c)
{
	int64_t n = 0;

	if (c->at == c->end || *c->at < '0' || *c->at > '9')
		return -1;
	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
		n = n * 10 + (*c->at - '0');
		if (n > RANGE_FOREVER)
			n = RANGE_FOREVER;
	}
	return n;
}

/*
 * One "a-b", "a-" or "-n". False: not well formed. An empty range: first > last; first is negative
 * where it is the last n of nothing.
 */
static bool take_range(struct cursor *c, int64_t size, bool growing, struct byte_range *r)
{
	const int64_t end = growing ? RANGE_FOREVER : size - 1;

	r->first = take_number(c);
	if (!take_char(c, '-'))
		return false;
	r->last = take_number(c);
	if (r->first < 0) { /* the last n */
		if (r->last < 0)
			return false;
		r->first = r->last >= size ? 0 : size - r->last;
		if (r->last == 0)
			r->first = end + 1;
		else if (size == 0 && !growing)
			r->first = -1;
		r->last = end;
		return true;
	}
	if (r->last >= 0 && r->last < r->first)
		return false;
	if (r->last < 0 || r->last == RANGE_FOREVER)
		r->last = end;
	else if (r->last >= size)
		r->last = size - 1;
	if (r->first > (growing ? size : size - 1))
		r->first = r->last + 1;
	return true;
}

int http_range_parse(struct http_text field, int64_t size, bool growing,
		     struct byte_range ranges[RANGES_MAX])
{
	struct cursor c;
	int64_t sum = 0;
	int n = 0;

	if (field.size < 6 || strncasecmp(field.at, "bytes", 5) != 0)
		return 0;
	c = (struct cursor){field.at + 5, field.at + field.size};
	skip_blanks(&c);
	if (!take_char(&c, '='))
		return 0;
	do {
		struct byte_range r;

		skip_blanks(&c);
		if (c.at == c.end || *c.at == ',') /* an empty element (RFC 9110, 5.6.1) */
			continue;
		if (!take_range(&c, size, growing, &r))
			return -1;
		skip_blanks(&c);
		if (r.first < 0) /* can be had, but no Content-Range can say so */
			return 0;
		if (r.first > r.last)
			continue;
		if (n == RANGES_MAX)
			return 0;
		sum += r.last == RANGE_FOREVER ? 0 : r.last - r.first + 1;
		ranges[n++] = r;
	} while (take_char(&c, ','));
	if (c.at != c.end || n == 0)
		return -1;
	return n > 1 && sum > size ? 0 : n;
}

void http_range_put(struct text *t, int64_t first, int64_t last, int64_t size)
{
	text_put(t, "Content-Range: bytes ");
	text_decimal(t, first);
	text_put(t, "-");
	text_decimal(t, last);
	text_put(t, "/");
	if (size < 0)
		text_put(t, "*");
	else
		text_decimal(t, size);
	text_put(t, "\r\n");
}

/* ---- dates ---- */

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970 of a date of the Gregorian calendar; March is the year's first month, so that the
 * leap day is its last. */
static int64_t days_of(int64_t year, int month, int day)
{
	const int64_t y = year - (month <= 2);
	const int64_t m = month + (month <= 2 ? 9 : -3);

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

static void date_of(int64_t since, int64_t *year, int *month, int *day)
{
	const int64_t z = since + 719468;
	const int64_t era = z / 146097, doe = z - era * 146097;
	const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	const int64_t m = (5 * doy + 2) / 153;

	*day = (int)(doy - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

static char *put_two(char *out, int64_t n)
{
	*out++ = (char)('0' + n / 10 % 10);
	*out++ = (char)('0' + n % 10);
	return out;
}

void http_date_format(int64_t seconds, char buf[HTTP_DATE_MAX])
{
	const int64_t day_number = seconds / 86400, rest = seconds % 86400;
	char *p = buf;
	int64_t year;
	int month, day;

	date_of(day_number, &year, &month, &day);
	memcpy(p, days + 3 * ((day_number + 4) % 7), 3);
	p[3] = ',';
	p[4] = ' ';
	p = put_two(p + 5, day);
	*p++ = ' ';
	memcpy(p, months + 3 * (month - 1), 3);
	p[3] = ' ';
	p = put_two(p + 4, year / 100);
	p = put_two(p, year);
	*p++ = ' ';
	p = put_two(p, rest / 3600);
	*p++ = ':';
	p = put_two(p, rest / 60 % 60);
	*p++ = ':';
	p = put_two(p, rest % 60);
	memcpy(p, " GMT", 5);
}

static int take_month(struct cursor *c)
{
	for (int i = 0; i < 12; i++) {
		if (c->end - c->at >= 3 && memcmp(c->at, months + 3 * i, 3) == 0) {
			c->at += 3;
			return i + 1;
		}
	}
	return -1;
}

static int64_t take_time(struct cursor *c)
{
	int64_t h, m, s;

	h = take_number(c);
	if (h < 0 || h > 23 || !take_char(c, ':'))
		return -1;
	m = take_number(c);
	if (m < 0 || m > 59 || !take_char(c, ':'))
		return -1;
	s = take_number(c);
	return s < 0 || s > 60 ? -1 : h * 3600 + m * 60 + s;
}

static int64_t assemble(int64_t year, int month, int64_t day, int64_t time)
{
	if (year < 1970 || year > 9999 || month < 1 || day < 1 || day > 31 || time < 0)
		return -1;
	return days_of(year, month, (int)day) * 86400 + time;
}

/* "06 Nov 1994 08:49:37 GMT" or "06-Nov-94 08:49:37 GMT", behind the day's name and comma. */
static int64_t parse_day_first(struct cursor *c)
{
	int64_t day, year, time;
	int month;
	bool dashes;

	skip_blanks(c);
	day = take_number(c);
	dashes = take_char(c, '-');
	if (!dashes && !take_char(c, ' '))
		return -1;
	month = take_month(c);
	if (!take_char(c, dashes ? '-' : ' '))
		return -1;
	year = take_number(c);
	if (dashes && year >= 0 && year < 100)
		year += year < 70 ? 2000 : 1900;
	skip_blanks(c);
	time = take_time(c);
	return assemble(year, month, day, time);
}

/* "Nov  6 08:49:37 1994", behind the day's name. */
static int64_t parse_asctime(struct cursor *c)
{
	int64_t day, time;
	int month;

	skip_blanks(c);
	month = take_month(c);
	skip_blanks(c);
	day = take_number(c);
	skip_blanks(c);
	time = take_time(c);
	skip_blanks(c);
	return assemble(take_number(c), month, day, time);
}

int64_t http_date_parse(struct http_text text)
{
	const char *comma;
	struct cursor c;

	if (text.size < 4)
		return -1;
	comma = memchr(text.at, ',', text.size);
	c = (struct cursor){comma ? comma + 1 : text.at + 3, text.at + text.size};
	return comma ? parse_day_first(&c) : parse_asctime(&c);
}
