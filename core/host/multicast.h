/* Sending to groups of IP multicast. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

union multicast_address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

/* How far datagrams go, and where they leave from. */
struct multicast_way {
	int ttl;	       /* routers they may pass, and one more; 0: the system's choice */
	const char *interface; /* its name; NULL: the route's */
};

bool multicast_is(const struct sockaddr *address);

/*
 * Sets a socket up for datagrams to the address; an interface can only be chosen for a group. 0, or
 * -errno with *e.
 */
int multicast_set(int fd, const struct sockaddr *to, const struct multicast_way *way,
		  struct mn_error *e);

/* Groups to choose from, each with a pair of ports of its own from MULTICAST_PORT on. */
#define MULTICAST_PORT	 5004
#define MULTICAST_GROUPS 16384

struct multicast_range {
	union multicast_address first; /* AF_UNSPEC: none */
	unsigned count;
};

/* "239.192.0.0/24", "ff15::1:0/112", or one address. 0, or -EINVAL with MN_USAGE. */
int multicast_range_parse(const char *text, struct multicast_range *range, struct mn_error *e);

/* The range's group `n`, with its (even) port. */
union multicast_address multicast_group(const struct multicast_range *range, unsigned n);
