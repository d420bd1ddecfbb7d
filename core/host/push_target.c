#include "host/push_target.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(const char *url, struct mn_error *e)
{
	return mn_fail(e, MN_USAGE, EINVAL,
		       "bad URL \"%.128s\": want tcp://HOST:PORT, unix:///PATH, "
		       "http://HOST:PORT/PREFIX, udp://HOST:PORT or rtp://HOST:PORT",
		       url);
}

/* What goes into a request as it is, and tells no other story there. */
static bool plain(const char *s)
{
	for (; *s; s++) {
		if (*s <= ' ' || *s >= 0x7f || strchr("\"<>?#@\\^`{|}", *s))
			return false;
	}
	return true;
}

static bool take_port(const char *text, struct push_target *t)
{
	char *end;
	const unsigned long port = strtoul(text, &end, 10);

	t->port = (uint16_t)port;
	/* RTCP has the next one. */
	return text[0] >= '0' && text[0] <= '9' && !*end && port > 0 &&
	       port <= (t->scheme == PUSH_RTP ? 65534 : 65535);
}

/* "HOST:PORT", "[ADDRESS6]:PORT"; for HTTP the port may be left out. */
static bool take_authority(const char *text, size_t size, struct push_target *t)
{
	const bool bracket = text[0] == '[';
	const char *host = t->authority + bracket, *end;

	if (size == 0 || size >= sizeof(t->authority))
		return false;
	memcpy(t->authority, text, size);
	t->authority[size] = '\0';
	end = host + strcspn(host, bracket ? "]" : ":");
	if (end == host || end - host >= (int)sizeof(t->host) || (bracket && *end != ']'))
		return false;
	memcpy(t->host, host, (size_t)(end - host));
	t->host[end - host] = '\0';
	end += bracket;
	if (*end == ':')
		return take_port(end + 1, t);
	t->port = 80;
	return !*end && t->scheme == PUSH_HTTP;
}

static bool take_prefix(const char *text, struct push_target *t)
{
	const size_t size = strlen(text);

	if (size + 2 > sizeof(t->path))
		return false;
	memcpy(t->path, text, size + 1);
	if (size == 0 || text[size - 1] != '/')
		strcpy(t->path + size, "/");
	return true;
}

static bool take_socket(const char *text, struct push_target *t)
{
	if (text[0] != '/' || strlen(text) >= sizeof(t->address[0].un.sun_path))
		return false;
	strcpy(t->path, text);
	return true;
}

int push_target_parse(const char *url, struct push_target *t, struct mn_error *e)
{
	static const char *const schemes[] = {[PUSH_TCP] = "tcp://",
					      [PUSH_UNIX] = "unix://",
					      [PUSH_HTTP] = "http://",
					      [PUSH_UDP] = "udp://",
					      [PUSH_RTP] = "rtp://"};
	const char *text = NULL;
	size_t size;
	bool good;

	*t = (struct push_target){0};
	for (int i = PUSH_TCP; i <= PUSH_RTP && !text; i++) {
		if (strncmp(url, schemes[i], strlen(schemes[i])) == 0) {
			text = url + strlen(schemes[i]);
			t->scheme = (enum push_scheme)i;
		}
	}
	if (!text)
		return refuse(url, e);
	if (t->scheme == PUSH_UNIX)
		return take_socket(text, t) ? 0 : refuse(url, e);
	size = strcspn(text, "/");
	good = plain(text) && take_authority(text, size, t);
	if (good && t->scheme == PUSH_HTTP)
		good = take_prefix(text + size, t);
	else if (text[size])
		good = false;
	return good ? 0 : refuse(url, e);
}

static void take_address(struct push_target *t, const struct addrinfo *a)
{
	if (a->ai_addrlen > sizeof(t->address[0]))
		return;
	memcpy(&t->address[t->addresses++], a->ai_addr, a->ai_addrlen);
}

int push_target_resolve(struct push_target *t, struct mn_error *e)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = push_scheme_datagrams(t->scheme) ? SOCK_DGRAM : SOCK_STREAM,
	};
	struct addrinfo *found = NULL;
	char port[8];
	int err;

	if (t->scheme == PUSH_UNIX) {
		t->address[0].un.sun_family = AF_UNIX;
		strcpy(t->address[0].un.sun_path, t->path);
		t->addresses = 1;
		return 0;
	}
	snprintf(port, sizeof(port), "%u", t->port);
	err = getaddrinfo(t->host, port, &hints, &found);
	if (err)
		return mn_fail(e, MN_FAILED, EHOSTUNREACH, "%s: %s", t->host, gai_strerror(err));
	for (const struct addrinfo *a = found; a && t->addresses < PUSH_ADDRESSES_MAX;
	     a = a->ai_next)
		take_address(t, a);
	freeaddrinfo(found);
	return 0;
}
