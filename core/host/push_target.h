/* Where objects are pushed to. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/error.h"

enum push_scheme { PUSH_TCP, PUSH_UNIX, PUSH_HTTP, PUSH_UDP, PUSH_RTP };

/* Of those that send datagrams, not connections. */
static inline bool push_scheme_datagrams(enum push_scheme scheme)
{
	return scheme == PUSH_UDP || scheme == PUSH_RTP;
}

union push_address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

#define PUSH_ADDRESSES_MAX 8

struct push_target {
	enum push_scheme scheme;
	char host[256];	     /* without brackets */
	char authority[300]; /* host and port as the URL has them */
	uint16_t port;
	char path[512]; /* unix: the socket's; http: in front of an object's, "/" at its end */
	union push_address address[PUSH_ADDRESSES_MAX]; /* to be tried in turn */
	unsigned addresses;
};

/*
 * Takes tcp://HOST:PORT, unix:///PATH, http://HOST[:PORT][/PREFIX], udp://HOST:PORT and
 * rtp://HOST:PORT apart. 0, or -EINVAL with MN_USAGE.
 */
int push_target_parse(const char *url, struct push_target *t, struct mn_error *e);

/* Looks the host up. 0, or -errno with *e. */
int push_target_resolve(struct push_target *t, struct mn_error *e);
