/* Sending to groups of IP multicast. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

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
