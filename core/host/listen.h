/* Listening sockets, and what those inherit that are accepted there. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/error.h"

struct endpoint;
struct server_options;

union address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	struct sockaddr_storage room;
};

/* The size of *a; 0: not an IP address in numbers. */
socklen_t listen_address(const struct endpoint *at, union address *a);

/* A socket that listens there, or -errno with *e. Warns where others than this host reach it. */
int listen_open(const struct server_options *o, const struct endpoint *at, struct mn_error *e);

/* Has sockets that are accepted from `fd` be as the options say. 0, or -errno with *e. */
int listen_inherit(int fd, const struct server_options *o, struct mn_error *e);

/* TCP's congestion control; `name` NULL: cubic, if it can be had. 0, or -errno with *e. */
int listen_congestion(int fd, const char *name, struct mn_error *e);

/* Where `fd` is reached: SCHEME://ADDRESS:PORT. */
void listen_url(int fd, const char *scheme, char *url, size_t size);
