/*
 * How bytes reach a monitor: three functions and a cookie, with two real implementations.
 *
 * A *stream* (a Unix socket) is one lasting conversation: the peer greets, answers in order, and
 * says things of its own accord in between. The other kind (exec:COMMAND, for a monitor that
 * libvirt owns) is one process per call, which gets the call as its last argument and prints the
 * answer: no greeting, no events.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct transport_ops {
	bool stream;
	/* Sends one call, a line with its newline. 0 or -errno; -ETIMEDOUT at the deadline. */
	int (*send)(void *cookie, const char *line, size_t size, int64_t deadline_ns);
	/* Some bytes of the answer; 0 at its end; -ETIMEDOUT at the deadline, or -errno. */
	ssize_t (*receive)(void *cookie, char *buf, size_t size, int64_t deadline_ns);
	/* After an end without an answer: why, as far as the other side said. */
	void (*explain)(void *cookie, char *buf, size_t size);
	void (*close)(void *cookie);
};

struct transport {
	const struct transport_ops *ops;
	void *cookie;
	pid_t peer;	     /* who listens there, 0 where that cannot be known */
	const char *program; /* what each call runs, which lives with the cookie; NULL: none */
};

/*
 * `address` is "exec:COMMAND", "unix:PATH" or a path. COMMAND is words between white space, no
 * shell. 0, or -errno: MN_ABSENT where nothing listens, MN_TIMEOUT where the queue is full.
 */
int transport_open(const char *address, int64_t deadline_ns, struct transport *t,
		   struct mn_error *e);

/* A transport over a connected stream socket, which it takes ownership of. */
int transport_adopt(int fd, struct transport *t);

void transport_close(struct transport *t);
