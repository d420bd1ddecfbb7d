/* The URL of a push, its request, and any reply to it. */
#include <string.h>

#include "host/push_http.h"
#include "host/push_target.h"
#include "tests/tap.h"

static struct push_target target(const char *url, int want)
{
	struct push_target t;

	is_int(push_target_parse(url, &t, NULL), want, "%.10s (%d)", url, want);
	return t;
}

static void test_urls(void)
{
	struct push_target t = target("http://[::1]:8081/a%20b", 0);

	is_str(t.host, "::1", "an address in brackets");
	is_str(t.authority, "[::1]:8081", "is sent with them");
	is_str(t.path, "/a%20b/", "the prefix gets its end");
	t = target("http://host", 0);
	is_int(t.port, 80, "HTTP's own port");
	is_str(t.path, "/", "no prefix");
	t = target("unix:///run/x", 0);
	is_str(t.path, "/run/x", "a socket");
	target("tcp://host", -22);
	target("tcp://:1", -22);
	target("tcp://[::1", -22);
	target("tcp://h:+1", -22);
	target("tcp://h:65536", -22);
	target("http://h/\r\nX: y", -22);
	target("http://user@h/", -22);
	is_int(target("udp://239.1.1.1:5000", 0).scheme, PUSH_UDP, "datagrams");
	is_int(target("rtp://[ff15::1]:65534", 0).port, 65534, "the last port of a pair");
	target("rtp://h:65535", -22);
	target("udp://h:1/x", -22);
	target("udp://h", -22);
}

static void test_request(void)
{
	char buf[PUSH_HEAD_MAX];
	struct text t = {buf, 0, sizeof(buf) - 1, false};
	struct push_put put = {"h:1", "/p/", "a b\n\xff/%c?", "text/plain", 7};

	push_put_format(&put, &t);
	buf[t.size] = '\0';
	ok(strstr(buf, "PUT /p/a%20b%0A%FF/%25c%3F HTTP/1.1\r\nHost: h:1\r\n") == buf,
	   "a name is escaped");
	ok(strstr(buf, "\r\nContent-Length: 7\r\n\r\n") != NULL, "its length");
	t.size = 0;
	put.size = -1;
	push_put_format(&put, &t);
	buf[t.size] = '\0';
	ok(strstr(buf, "\r\nTransfer-Encoding: chunked\r\n\r\n") != NULL, "or in chunks");
}

static struct push_reply reply(const char *head, int want)
{
	struct push_reply r;

	is_int(push_reply_parse(head, strlen(head), &r), want, "%.12s", head);
	return r;
}

static void test_replies(void)
{
	struct push_reply r = reply("HTTP/1.1 201 Created\r\ncontent-length:  12 \r\n\r\n", 0);

	is_int(r.status, 201, "its status");
	is_int(r.length, 12, "its length");
	ok(!r.close, "the connection is kept");
	ok(reply("HTTP/1.0 200\n\n", 0).close, "not by HTTP/1.0");
	ok(reply("HTTP/1.1 200 \r\nConnection: x, Close\r\n\r\n", 0).close, "nor if it says so");
	ok(reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0).close,
	   "nor in chunks");
	reply("HTTP/1.1 20 OK\r\n\r\n", -22);
	reply("HTTP/2 200 OK\r\n\r\n", -22);
	reply("HTTP/1.1 099 x\r\n\r\n", -22);
	reply("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", -22);
	reply("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", -22);
	reply("HTTP/1.1 200 OK\r\nnothing\r\n\r\n", -22);
	reply("SSH-2.0-OpenSSH\r\n\r\n", -22);
}

int main(void)
{
	test_urls();
	test_request();
	test_replies();
	return done_testing();
}
