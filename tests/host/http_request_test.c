/* The request parser, by tables: what is refused and with what, what is understood and as what. */
#include "host/http_request.h"

#include "tests/tap.h"

static struct http_request r;

static int parse(const char *head, size_t size)
{
	size_t scanned = 0;

	return http_head_size(head, size, &scanned) == size ? http_request_parse(head, size, &r)
							    : -1;
}

#define H "Host: a\r\n"

static const struct {
	int status;
	const char *head, *what;
} cases[] = {
	{0, "GET / HTTP/1.1\r\n" H "\r\n", "the plainest"},
	{0, "GET / HTTP/1.0\r\n\r\n", "1.0 needs no Host"},
	{0, "GET / HTTP/1.7\r\n" H "\r\n", "a later minor version is 1.1"},
	{0,
	 "GET / HTTP/1.1\n"
	 "Host: a\n\n",
	 "a bare LF ends a line"},
	{0, "GET / HTTP/1.1\r\nHost:\r\n\r\n", "an empty Host"},
	{0, "GET / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "a body of nothing"},
	{0, "GET http://a/b HTTP/1.1\r\n" H "\r\n", "the absolute form"},
	{0, "OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS *"},
	{0, "GET /%2e%2ex HTTP/1.1\r\n" H "\r\n", "dots in a longer name"},
	{405, "POST / HTTP/1.1\r\n" H "\r\n", "another method"},
	{400, "get / HTTP/1.1\r\n" H "\r\n", "a method in small letters"},
	{400, "G\xc3T / HTTP/1.1\r\n" H "\r\n", "a method with other bytes"},
	{400, " / HTTP/1.1\r\n" H "\r\n", "no method"},
	{400, "GET / \r\n" H "\r\n", "HTTP/0.9"},
	{400, "GET /\r\n" H "\r\n", "no version"},
	{400, "GET / HTTP/1.1 \r\n" H "\r\n", "a blank behind the version"},
	{400, "GET  / HTTP/1.1\r\n" H "\r\n", "two blanks"},
	{400, "GET /a b HTTP/1.1\r\n" H "\r\n", "a blank in the target"},
	{400, "GET\t/ HTTP/1.1\r\n" H "\r\n", "a tab for a blank"},
	{400, "GET / http/1.1\r\n" H "\r\n", "a version in small letters"},
	{400, "GET / HTTP/11\r\n" H "\r\n", "a version without a dot"},
	{505, "GET / HTTP/2.0\r\n" H "\r\n", "HTTP/2"},
	{505, "GET / HTTP/0.9\r\n" H "\r\n", "a named 0.9"},
	{400, "GET a HTTP/1.1\r\n" H "\r\n", "a relative target"},
	{400, "GET * HTTP/1.1\r\n" H "\r\n", "GET *"},
	{400, "GET http:///a HTTP/1.1\r\n" H "\r\n", "an absolute form without a host"},
	{400, "GET http:// HTTP/1.1\r\n" H "\r\n", "an absolute form without anything"},
	{400, "GET http://?/a HTTP/1.1\r\n" H "\r\n", "an absolute form of a query"},
	{400, "GET http://b@a/ HTTP/1.1\r\n" H "\r\n", "an absolute form with a user"},
	{400, "GET http://a#/b HTTP/1.1\r\n" H "\r\n", "a fragment behind the host"},
	{400, "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", "another scheme"},
	{400, "GET /a#b HTTP/1.1\r\n" H "\r\n", "a fragment"},
	{400, "GET /a?b#c HTTP/1.1\r\n" H "\r\n", "a fragment behind a query"},
	{400, "GET /%00 HTTP/1.1\r\n" H "\r\n", "an escaped NUL"},
	{400, "GET /%4 HTTP/1.1\r\n" H "\r\n", "half an escape"},
	{400, "GET /%zz HTTP/1.1\r\n" H "\r\n", "an escape of no digits"},
	{400, "GET /.. HTTP/1.1\r\n" H "\r\n", ".."},
	{400, "GET /a/../b HTTP/1.1\r\n" H "\r\n", ".. in the middle"},
	{400, "GET /a/%2e%2e/b HTTP/1.1\r\n" H "\r\n", "escaped dots"},
	{400, "GET /a%2f..%2fb HTTP/1.1\r\n" H "\r\n", "escaped slashes"},
	{400, "GET /./a HTTP/1.1\r\n" H "\r\n", "."},
	{400, "GET / HTTP/1.1\r\n\r\n", "1.1 without Host"},
	{400, "GET / HTTP/1.1\r\n" H H "\r\n", "two Hosts"},
	{400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "a Host with a blank"},
	{400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "a Host with a slash"},
	{400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "a blank before the colon"},
	{400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "a blank before the first name"},
	{400, "GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", "a folded line"},
	{400, "GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n", "a line folded by a tab"},
	{400, "GET / HTTP/1.1\r\n" H ": b\r\n\r\n", "no name"},
	{400, "GET / HTTP/1.1\r\n" H "A b\r\n\r\n", "no colon"},
	{400, "GET / HTTP/1.1\r\n" H "A: b\rC: d\r\n\r\n", "a bare CR"},
	{400, "GET / HTTP/1.1\r\n" H "A: b\x01\r\n\r\n", "a control character"},
	{400, "GET / HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n", "DEL"},
	{400, "GET / HTTP/1.1\r\n" H "A\x80: b\r\n\r\n", "a name with other bytes"},
	{413, "GET / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", "a body"},
	{413, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", "a chunked body"},
	{501, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", "an unknown coding"},
	{501, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", "two codings"},
	{501, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", "nearly chunked"},
	{400, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
	 "a coding and a length"},
	{400, "GET / HTTP/1.1\r\n" H "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
	 "a length and a coding"},
	{400, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
	 "codings in two fields"},
	{400, "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "a coding in 1.0"},
	{400, "GET / HTTP/1.1\r\n" H "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
	 "two lengths"},
	{400, "GET / HTTP/1.1\r\n" H "Content-Length: 0, 0\r\n\r\n", "a list of lengths"},
	{400, "GET / HTTP/1.1\r\n" H "Content-Length: +0\r\n\r\n", "a length with a sign"},
	{400, "GET / HTTP/1.1\r\n" H "Content-Length: 0x0\r\n\r\n", "a hexadecimal length"},
	{400, "GET / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", "an empty length"},
	{400, "GET / HTTP/1.1\r\n" H "Range: bytes=0-\r\nRange: bytes=1-\r\n\r\n", "two Ranges"},
	{400, "GET / HTTP/1.1\r\n" H "If-Match: *\r\nIf-Match: \"a\"\r\n\r\n", "two conditions"},
};

static void test_statuses(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		is_int(parse(cases[i].head, strlen(cases[i].head)), cases[i].status, "%s",
		       cases[i].what);
	is_int(parse("GET /\0 HTTP/1.1\r\n" H "\r\n", 28), 400, "a NUL in the target");
	is_int(parse("GET / HTTP/1.1\r\n" H "A: \0\r\n\r\n", 33), 400, "a NUL in a value");
}

static bool text_equals(struct http_text t, const char *want)
{
	return t.at && t.size == strlen(want) && memcmp(t.at, want, t.size) == 0;
}

static void test_contents(void)
{
	static const char head[] = "GET /a%20b/%252e?x=%2e HTTP/1.1\r\n" H
				   "RANGE:   bytes=1-2 \t\r\nUser-Agent:u\r\n\r\n";

	is_int(parse(head, sizeof(head) - 1), 0, "a request");
	is_str(r.path, "/a b/%2e", "the path is decoded once");
	ok(text_equals(r.query, "x=%2e"), "the query is not");
	ok(text_equals(r.range, "bytes=1-2"), "blanks around a value are none of it");
	ok(text_equals(r.user_agent, "u"), "no blank is needed");
	ok(text_equals(r.line, "GET /a%20b/%252e?x=%2e HTTP/1.1"), "the line as it came");
	ok(!r.if_range.at, "what is not there is not there");
	ok(!r.close && r.minor == 1 && r.method == HTTP_GET, "1.1 stays open");
}

static void test_repeated(void)
{
	static const char head[] = "GET / HTTP/1.1\r\n" H "Accept: a/b\r\nAccept: c/d\r\n"
				   "Accept-Encoding: zstd\r\nAccept-Encoding: gzip\r\n"
				   "User-Agent: u\r\nUser-Agent: v\r\n\r\n";

	is_int(parse(head, sizeof(head) - 1), 0, "preferences in several lines");
	ok(text_equals(r.accept, "a/b"), "the first Accept");
	ok(text_equals(r.accept_encoding, "zstd"), "the first Accept-Encoding");
	ok(text_equals(r.user_agent, "u"), "the first User-Agent");
}

/* Whoever reads a target otherwise than the server before it can be got round. */
static void test_absolute(void)
{
	static const struct {
		const char *head, *path, *query;
	} targets[] = {
		{"GET http://a/b?c HTTP/1.1\r\n" H "\r\n", "/b", "c"},
		{"GET HTTP://[::1]:80/b HTTP/1.1\r\n" H "\r\n", "/b", NULL},
		{"GET http://a HTTP/1.1\r\n" H "\r\n", "/", NULL},
		{"GET http://a?/b HTTP/1.1\r\n" H "\r\n", "/", "/b"},
		{"GET http://a/?http://c/d HTTP/1.1\r\n" H "\r\n", "/", "http://c/d"},
	};

	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		is_int(parse(targets[i].head, strlen(targets[i].head)), 0, "an absolute form");
		is_str(r.path, targets[i].path, "… its path");
		ok(targets[i].query ? text_equals(r.query, targets[i].query) : !r.query.at,
		   "… its query");
	}
}

static void test_close(void)
{
	static const struct {
		bool close;
		const char *head;
	} closing[] = {
		{true, "GET / HTTP/1.0\r\n\r\n"},
		{false, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"},
		{true, "GET / HTTP/1.1\r\n" H "Connection: x , CLOSE\r\n\r\n"},
		{false, "GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n"},
		{true, "GET / HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\n"},
		{false, "PUT / HTTP/1.1\r\n" H "\r\n"},
	};

	for (size_t i = 0; i < sizeof(closing) / sizeof(*closing); i++) {
		parse(closing[i].head, strlen(closing[i].head));
		is_int(r.close, closing[i].close, "closes or not: %zu", i);
	}
}

static void test_length(void)
{
	char head[4 + 2 * HTTP_PATH_MAX];
	const size_t size = (size_t)snprintf(head, sizeof(head), "GET /%0*d HTTP/1.1\r\n" H "\r\n",
					     HTTP_PATH_MAX, 0);

	is_int(parse(head, size), 414, "a path that is too long");
}

/* The end of the head, whatever the pieces it comes in. */
static void test_pieces(void)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next";
	size_t scanned = 0, found = 0, size;

	for (size = 1; size < sizeof(head) && !found; size++)
		found = http_head_size(head, size, &scanned);
	is_int((intmax_t)found, 27, "byte by byte, the head ends where it ends");
	is_int((intmax_t)size - 1, 27, "and not a byte later");
	scanned = 0;
	is_int((intmax_t)http_head_size("a\n\nb", 4, &scanned), 3, "LF LF");
	scanned = 0;
	is_int((intmax_t)http_head_size("a\n\r", 3, &scanned), 0, "not yet");
	is_int((intmax_t)http_head_size("a\n\r\nb", 5, &scanned), 4, "LF CR LF, in two looks");
}

static struct http_text text(const char *s)
{
	return (struct http_text){s, strlen(s)};
}

static void test_accept(void)
{
	ok(http_accepts(text("gzip, zstd"), "zstd"), "accepted");
	ok(http_accepts(text("ZSTD;q=0.5"), "zstd"), "accepted, with a quality");
	ok(!http_accepts(text("zstd;q=0"), "zstd"), "refused");
	ok(!http_accepts(text("zstd; q=0.000"), "zstd"), "refused to three places");
	ok(http_accepts(text("zstd;q=0.001"), "zstd"), "hardly accepted");
	ok(!http_accepts(text("xzstd,zstdx"), "zstd"), "others");
	ok(!http_accepts((struct http_text){0}, "zstd"), "no field");
}

int main(void)
{
	test_statuses();
	test_contents();
	test_repeated();
	test_absolute();
	test_close();
	test_length();
	test_pieces();
	test_accept();
	return done_testing();
}
