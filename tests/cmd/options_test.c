/* What an admin types: every documented form, and what only looks like one. */
#include "cmd/options.h"

#include <errno.h>
#include <inttypes.h>

#include "tests/tap.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define NOT_SET	     424242

static char many_digits[200];

/* Refused, with a message that quotes it and says what is wanted. */
static bool complains(int err, const struct mn_error *e, const char *text)
{
	char quoted[80];

	snprintf(quoted, sizeof(quoted), "\"%.64s\": want ", text);
	return err == -EINVAL && e->status == MN_USAGE && strstr(e->text, quoted);
}

static void sizes(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"4096", 4096},
		{"17B", 17},
		{"64K", 65536},
		{"64k", 65536},
		{"64KB", 65536},
		{"64KiB", 65536},
		{"64kib", 65536},
		{"256M", 256 << 20},
		{"256MiB", 256 << 20},
		{"1.5G", 3ULL << 29},
		{"0.5K", 512},
		{"1.1K", 1126},
		{"2T", 2ULL << 40},
		{"010", 10},
		{"4.0", 4},
		{"1152921504606846976", 1ULL << 60},
		{"8388607T", 8388607ULL << 40},
	};
	static const char *const bad[] = {
		"",	"K",	    "12Q",	"1e9",
		"0x10", "-1",	    "+1",	" 1",
		"1 ",	"1 K",	    "1KK",	"1KBB",
		"1iB",	"1Ki",	    "1.",	"1.K",
		".5K",	"1..5K",    "1.5.5K",	"1,5K",
		"1.5",	"0.5",	    "1.5B",	"inf",
		"nan",	"K1",	    "1P",	"1E",
		"1K\n", "\xd9\xa1", "8388608T", "99999999999999999999",
		"1K/s", "1bit",	    "--",	"\"1\"",
	};
	struct mn_error e;
	uint64_t bytes;

	for (size_t i = 0; i < COUNT(good); i++) {
		is_int(parse_size(good[i].text, &bytes, &e), 0, "size %s", good[i].text);
		is_int((intmax_t)bytes, (intmax_t)good[i].bytes, "in bytes");
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		ok(complains(parse_size(bad[i], &bytes, &e), &e, bad[i]), "no size: \"%s\"",
		   bad[i]);
	ok(complains(parse_size(many_digits, &bytes, &e), &e, many_digits), "no size: 199 digits");
	is_int(parse_size("12Q", &bytes, NULL), -EINVAL, "without an error to fill");
	parse_size("12Q", &bytes, &e);
	is_str(e.text, "bad size \"12Q\": want a number with K, M, G or T",
	       "the message that scripts may look for");
}

static void rates(void)
{
	static const struct {
		const char *text;
		uint64_t bytes_per_s;
	} good[] = {
		{"2Mbit", 250000},
		{"2Mbit/s", 250000},
		{"2mbit", 250000},
		{"800kbit", 100000},
		{"1Gbit", 125000000},
		{"8bit", 1},
		{"100MB", 100000000},
		{"100MB/s", 100000000},
		{"1.5GB", 1500000000},
		{"1kB", 1000},
		{"5B", 5},
		{"1TB", 1000000000000},
		{"4bit", 1},
	};
	static const char *const bad[] = {
		"",	 "100",	  "100M",    "0MB",   "0bit",	    "1bit",   "2Mb",  "2mb",
		"2Mbps", "2MBps", "2MiB",    "1e3MB", "-1MB",	    "2Mbits", "2 MB", "2MB/",
		"2MB/m", "/s",	  "2MB/s/s", "1PB",   "99999999TB", "2Mbit ", "B",
	};
	struct mn_error e;
	uint64_t rate;

	for (size_t i = 0; i < COUNT(good); i++) {
		is_int(parse_rate(good[i].text, &rate, &e), 0, "rate %s", good[i].text);
		is_int((intmax_t)rate, (intmax_t)good[i].bytes_per_s, "in bytes a second");
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		ok(complains(parse_rate(bad[i], &rate, &e), &e, bad[i]), "no rate: \"%s\"", bad[i]);
	ok(complains(parse_rate(many_digits, &rate, &e), &e, many_digits), "no rate: 199 digits");
}

static void durations(void)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{"500ms", 500000000},
		{"30s", 30000000000},
		{"5m", 300000000000},
		{"2h", 7200000000000},
		{"1d", 86400000000000},
		{"10", 10000000000},
		{"0", 0},
		{"0.5", 500000000},
		{"1.5s", 1500000000},
		{"10us", 10000},
		{"4611686018s", 4611686018000000000},
	};
	static const char *const bad[] = {
		"",	"s",   "ms",	      "-1s",  "+1s",  "1S",    "1M",  "1min",
		"1sec", "1 s", "1s ",	      "1e3s", "0x1s", "1.s",   ".5s", "1s1",
		"1mss", "1w",  "4611686019s", "inf",  "1y",   "1h30m",
	};
	struct mn_error e;
	int64_t ns;

	for (size_t i = 0; i < COUNT(good); i++) {
		is_int(parse_duration(good[i].text, &ns, &e), 0, "duration %s", good[i].text);
		is_int(ns, good[i].ns, "in nanoseconds");
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		ok(complains(parse_duration(bad[i], &ns, &e), &e, bad[i]), "no duration: \"%s\"",
		   bad[i]);
	ok(complains(parse_duration(many_digits, &ns, &e), &e, many_digits),
	   "no duration: 199 digits");
}

static void numbers(void)
{
	static const char *const bad[] = {
		"",
		"-",
		"+5",
		" 5",
		"5 ",
		"5x",
		"0x5",
		"1e1",
		"5.0",
		"--5",
		"-6",
		"11",
		"99999999999999999999",
		"-99999999999999999999",
		"\t5",
		"five",
	};
	struct mn_error e;
	int64_t n = NOT_SET;

	ok(parse_number("7", "number of threads", -5, 10, &n, &e) == 0 && n == 7, "a number");
	ok(parse_number("-5", "n", -5, 10, &n, &e) == 0 && n == -5, "the least");
	ok(parse_number("10", "n", -5, 10, &n, &e) == 0 && n == 10, "the most");
	ok(parse_number("010", "n", -5, 10, &n, &e) == 0 && n == 10, "decimal for all its zeros");
	ok(parse_number("9223372036854775807", "n", 0, INT64_MAX, &n, &e) == 0 && n == INT64_MAX,
	   "the largest there is");
	ok(parse_number("-9223372036854775808", "n", INT64_MIN, 0, &n, &e) == 0 && n == INT64_MIN,
	   "the smallest there is");
	n = NOT_SET;
	for (size_t i = 0; i < COUNT(bad); i++) {
		ok(complains(parse_number(bad[i], "n", -5, 10, &n, &e), &e, bad[i]),
		   "no number: \"%s\"", bad[i]);
	}
	is_int(n, NOT_SET, "what is refused is not stored");
	parse_number("x", "number of threads", 1, 64, &n, &e);
	is_str(e.text, "bad number of threads \"x\": want a whole number from 1 to 64",
	       "says what it is");
}

static void addresses(void)
{
	static const struct {
		const char *text, *addr;
		uint16_t port;
	} good[] = {
		{"8080", "127.0.0.1", 8080},
		{":8080", "127.0.0.1", 8080},
		{"0", "127.0.0.1", 0},
		{"0.0.0.0:80", "0.0.0.0", 80},
		{"10.1.2.3:65535", "10.1.2.3", 65535},
		{"[::1]:80", "::1", 80},
		{"[::]:80", "::", 80},
		{"[fe80::1%eth0]:80", "fe80::1%eth0", 80},
		{"localhost:80", "localhost", 80},
	};
	static const char *const bad[] = {
		"",
		":",
		"10.1.2.3",
		"10.1.2.3:",
		"10.1.2.3:65536",
		"10.1.2.3:-1",
		"::1",
		"::1:80",
		"[::1]",
		"[::1",
		"[::1]80",
		"[]:80",
		"[::1:80",
		"::1]:80",
		"[a]b:80",
		"host",
		"host:http",
		"host: 80",
		"host:80 ",
		"host:0x50",
		"host:+80",
		"http://host:80",
		"1:2:3",
	};
	char long_host[100];
	struct mn_error e;
	struct listen_address a;

	for (size_t i = 0; i < COUNT(good); i++) {
		is_int(parse_address(good[i].text, &a, &e), 0, "address %s", good[i].text);
		is_str(a.addr, good[i].addr, "its host");
		is_int(a.port, good[i].port, "its port");
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		ok(complains(parse_address(bad[i], &a, &e), &e, bad[i]), "no address: \"%s\"",
		   bad[i]);
	memset(long_host, 'h', sizeof(long_host));
	memcpy(long_host + sizeof(a.addr) - 1, ":80", 4);
	is_int(parse_address(long_host, &a, &e), 0, "the longest host there is room for");
	is_int((intmax_t)strlen(a.addr), sizeof(a.addr) - 1, "is whole");
	memcpy(long_host + sizeof(a.addr), ":80", 4);
	long_host[sizeof(a.addr) - 1] = 'h';
	is_int(parse_address(long_host, &a, &e), -EINVAL, "one more is refused");
}

static void formats(void)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0"},
		{1, "1"},
		{1023, "1023"},
		{1024, "1.00K"},
		{1536, "1.50K"},
		{10 * 1024, "10.0K"},
		{10239, "10.0K"},
		{102399, "100K"},
		{512 << 10, "512K"},
		{(1 << 20) - 1, "1.00M"},
		{64 << 20, "64.0M"},
		{3ULL << 29, "1.50G"},
		{1ULL << 40, "1.00T"},
		{1ULL << 50, "1.00P"},
		{1ULL << 60, "1.00E"},
		{UINT64_MAX, "16.0E"},
	};
	char buf[16];

	for (size_t i = 0; i < COUNT(cases); i++)
		is_str(format_size(cases[i].bytes, buf), cases[i].text, "%" PRIu64, cases[i].bytes);
}

/* What is printed can be typed, and means what was printed, to its three digits. */
static void round_trips(void)
{
	int failed = 0;
	uint64_t x = 88172645463325252ULL;

	for (int i = 0; i < 200000; i++) {
		char buf[16];
		uint64_t bytes, back = 0;
		struct mn_error e;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes = (x >> 14) >> (x & 63) % 50;
		if (bytes >= 1000ULL << 40)
			continue; /* P and E are not for typing */
		if (parse_size(format_size(bytes, buf), &back, &e) ||
		    (back > bytes ? back - bytes : bytes - back) > bytes / 180 || strlen(buf) > 5) {
			if (failed++ == 0)
				diag("%" PRIu64 " -> %s -> %" PRIu64, bytes, buf, back);
		}
	}
	is_int(failed, 0, "sizes, printed and typed again");
}

int main(void)
{
	memset(many_digits, '9', sizeof(many_digits) - 1);
	sizes();
	rates();
	durations();
	numbers();
	addresses();
	formats();
	round_trips();
	return done_testing();
}
