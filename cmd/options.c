#include "cmd/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIGITS "0123456789"

/*
 * A plain decimal number, digits on both sides of its point if it has one: no sign, no exponent, no
 * hexadecimal, which strtod() would all take. NULL if there is none.
 */
static const char *parse_decimal(const char *text, double *value)
{
	size_t whole = strspn(text, DIGITS), len = whole;
	char digits[40];

	if (text[whole] == '.')
		len += 1 + strspn(text + whole + 1, DIGITS);
	if (whole == 0 || text[len - 1] == '.' || len >= sizeof(digits))
		return NULL;
	memcpy(digits, text, len);
	digits[len] = '\0';
	*value = strtod(digits, NULL);
	return text + len;
}

/* The power of the multiple that `c` stands for, 0 for none. */
static int multiple(char c)
{
	const char *at = c ? strchr("KMGT", toupper((unsigned char)c)) : NULL;

	return at ? (int)(at - "KMGT") + 1 : 0;
}

/* A whole number of units that fits; the half unit is for what decimals cannot say exactly. */
static int to_u64(double value, uint64_t *out)
{
	if (!(value < 0x1p63))
		return -ERANGE;
	*out = (uint64_t)(value + 0.5);
	return 0;
}

int parse_size(const char *text, uint64_t *bytes, struct mn_error *e)
{
	double value;
	const char *unit = parse_decimal(text, &value);

	if (unit) {
		int power = multiple(*unit);

		unit += power > 0;
		if (power > 0 && strcasecmp(unit, "iB") == 0)
			unit += 2;
		else if (strcasecmp(unit, "B") == 0)
			unit += 1;
		/* Half a byte is a forgotten unit. */
		if (*unit == '\0' && (power > 0 || floor(value) == value) &&
		    to_u64(ldexp(value, 10 * power), bytes) == 0)
			return 0;
	}
	return mn_fail(e, MN_USAGE, EINVAL, "bad size \"%.64s\": want a number with K, M, G or T",
		       text);
}

int parse_rate(const char *text, uint64_t *bytes_per_s, struct mn_error *e)
{
	static const double powers[] = {1, 1e3, 1e6, 1e9, 1e12};
	double value;
	const char *unit = parse_decimal(text, &value);

	if (unit) {
		int power = multiple(*unit);
		double bits = 0;

		unit += power > 0;
		if (strncasecmp(unit, "bit", 3) == 0) {
			bits = 1;
			unit += 3;
		} else if (*unit == 'B') { /* "Mb" means bits to some and bytes to others */
			bits = 8;
			unit += 1;
		}
		if (strcmp(unit, "/s") == 0)
			unit += 2;
		if (*unit == '\0' && bits > 0 &&
		    to_u64(value * powers[power] * bits / 8, bytes_per_s) == 0 && *bytes_per_s > 0)
			return 0;
	}
	return mn_fail(e, MN_USAGE, EINVAL,
		       "bad rate \"%.64s\": want a number with kbit, Mbit, Gbit, KB, MB or GB",
		       text);
}

int parse_duration(const char *text, int64_t *ns, struct mn_error *e)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ms", 1e6}, {"us", 1e3},	 {"s", 1e9},	{"", 1e9},
		     {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
	double value;
	const char *unit = parse_decimal(text, &value);

	for (size_t i = 0; unit && i < sizeof(units) / sizeof(*units); i++) {
		uint64_t result;

		/* Half of what fits, so that a time now may be added to it: 146 years. */
		if (strcmp(unit, units[i].unit) == 0 && value * units[i].ns <= 0x1p62 &&
		    to_u64(value * units[i].ns, &result) == 0) {
			*ns = (int64_t)result;
			return 0;
		}
	}
	return mn_fail(e, MN_USAGE, EINVAL,
		       "bad duration \"%.64s\": want a number with ms, s, m, h or d", text);
}

int parse_number(const char *text, const char *what, int64_t min, int64_t max, int64_t *value,
		 struct mn_error *e)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	/* strtoll() would also take white space and a plus in front. */
	if (errno == 0 && strspn(text, DIGITS "-") > 0 && *end == '\0' && n >= min && n <= max) {
		*value = n;
		return 0;
	}
	return mn_fail(e, MN_USAGE, EINVAL,
		       "bad %s \"%.64s\": want a whole number from %lld to %lld", what, text,
		       (long long)min, (long long)max);
}

int parse_address(const char *text, struct listen_address *a, struct mn_error *e)
{
	const char *colon = strrchr(text, ':');
	const char *host = text, *port = colon ? colon + 1 : text;
	size_t len = colon ? (size_t)(colon - text) : 0;
	int64_t number = 0;

	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	} else if (strcspn(host, "[]") < len || (len > 0 && memchr(host, ':', len))) {
		port = ""; /* an IPv6 address wants brackets, and nothing else has them */
	}
	if (len >= sizeof(a->addr) || parse_number(port, "port", 0, 65535, &number, NULL))
		return mn_fail(e, MN_USAGE, EINVAL,
			       "bad address \"%.64s\": want ADDRESS:PORT, IPv6 in brackets", text);
	memcpy(a->addr, len ? host : "127.0.0.1", len ? len : 10);
	a->addr[len ? len : 9] = '\0';
	a->port = (uint16_t)number;
	return 0;
}

const char *format_size(uint64_t bytes, char buf[16])
{
	static const char units[] = "BKMGTPE";
	double value = (double)bytes;
	unsigned i = 0;

	/* 1023.5 would be printed as 1024. */
	while (value >= (i ? 1023.5 : 1024) && i < sizeof(units) - 2) {
		value /= 1024;
		i++;
	}
	if (i == 0)
		snprintf(buf, 16, "%llu", (unsigned long long)bytes);
	else
		snprintf(buf, 16, "%.*f%c",
			 value < 9.995	 ? 2
			 : value < 99.95 ? 1
					 : 0,
			 value, units[i]);
	return buf;
}
