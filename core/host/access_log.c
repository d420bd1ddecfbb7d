#include "host/access_log.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "host/text.h"

/* A request's words may all have to be escaped; the rest is ours, and short. */
#define LINE_MAX_BYTES (6 * HTTP_HEAD_MAX + 256)

static_assert(LINE_MAX_BYTES + 256 <= LOG_BUFFER, "the longest line fits, with its numbers");

/* As nginx escapes: what could end the quotes or the line, and what is not ASCII, as \xHH. JSON has
 * \u00HH for the same bytes, so that no name can be anything but a string. */
static void escaped(struct text *t, struct http_text s, bool json)
{
	for (size_t i = 0; i < s.size; i++) {
		const unsigned char c = (unsigned char)s.at[i];

		if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
			text_data(t, s.at + i, 1);
			continue;
		}
		text_put(t, json ? "\\u00" : "\\x");
		text_data(t, &"0123456789abcdef"[c >> 4], 1);
		text_data(t, &"0123456789abcdef"[c & 15], 1);
	}
}

static void member(struct text *t, const char *before, struct http_text s, bool json)
{
	text_put(t, before);
	if (!s.at)
		s = (struct http_text){"-", 1};
	escaped(t, s, json);
}

static void put_peer(struct text *t, const struct peer *peer)
{
	static const uint8_t none[12];
	const bool four = memcmp(peer->address + 4, none, sizeof(none)) == 0;
	char address[INET6_ADDRSTRLEN];

	if (inet_ntop(four ? AF_INET : AF_INET6, peer->address, address, sizeof(address)))
		text_put(t, address);
}

/* Three strings, each with a NUL: the peer, the request, what comes behind the numbers. */
char *access_log_begin(const struct http_request *r, const struct peer *peer, bool json)
{
	char buf[LINE_MAX_BYTES];
	struct text t = {.buf = buf, .room = sizeof(buf)};
	char *begun;

	put_peer(&t, peer);
	text_data(&t, "", 1);
	escaped(&t, r->line, json);
	text_data(&t, "", 1);
	member(&t, json ? "\"referer\":\"" : "\"", r->referer, json);
	member(&t, json ? "\",\"agent\":\"" : "\" \"", r->user_agent, json);
	text_data(&t, "\"", 2);
	begun = t.cut ? NULL : malloc(t.size); /* cut: never, see LINE_MAX_BYTES */
	if (begun)
		memcpy(begun, buf, t.size);
	return begun;
}

static size_t format_combined(char *buf, size_t size, const char *begun, const struct tm *tm,
			      const struct access_end *end)
{
	const char *request = begun + strlen(begun) + 1;
	const char *tail = request + strlen(request) + 1;
	char when[40];

	strftime(when, sizeof(when), "%d/%b/%Y:%H:%M:%S %z", tm);
	return (size_t)snprintf(buf, size, "%s - - [%s] \"%s\" %d %llu %s\n", begun, when, request,
				end->status, (unsigned long long)end->bytes, tail);
}

static size_t format_json(char *buf, size_t size, const char *begun, const struct tm *tm,
			  const struct access_end *end)
{
	const char *request = begun + strlen(begun) + 1;
	const char *tail = request + strlen(request) + 1;
	char when[40];

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S%z", tm);
	return (size_t)snprintf(
		buf, size,
		"{\"schema\":1,\"time\":\"%s\",\"client\":\"%s\",\"request\":\"%s\","
		"\"status\":%d,\"bytes\":%llu,\"seconds\":%.6f,\"complete\":%s,%s}\n",
		when, begun, request, end->status, (unsigned long long)end->bytes,
		(double)end->took_ns / 1e9, end->complete ? "true" : "false", tail);
}

bool access_log_end(struct access_lines *lines, const char *begun, const struct access_end *end,
		    bool json)
{
	const size_t room = sizeof(lines->buf) - lines->size;
	const time_t now = time(NULL);
	struct tm tm;
	size_t n;

	if (!begun)
		return true;
	localtime_r(&now, &tm);
	n = (json ? format_json : format_combined)(lines->buf + lines->size, room, begun, &tm, end);
	if (n >= room)
		return lines->size == 0; /* too long for the empty buffer: never */
	lines->size += n;
	return true;
}

void access_log_flush(struct access_lines *lines, int fd)
{
	int err;

	if (lines->size == 0)
		return;
	/* A full disk must not stop the traffic that is being logged. */
	err = io_write_all(fd, lines->buf, lines->size);
	if (err && !lines->failed)
		log_warn("access log: %s (its lines are lost until it can be written)",
			 strerror(-err));
	lines->failed = err != 0;
	lines->size = 0;
}
