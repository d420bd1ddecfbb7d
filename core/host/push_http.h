/* The two ends of an HTTP PUT, as pure functions: the request's head, the reply's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "host/text.h"

/* Room for the head: each byte of a name may become three. */
#define PUSH_HEAD_MAX 5120

struct push_put {
	const char *authority, *prefix; /* of the URL, as they are */
	const char *path;		/* the object's */
	const char *type;
	int64_t size; /* -1: not known, it is sent in chunks */
};

void push_put_format(const struct push_put *put, struct text *t);

struct push_reply {
	int status;
	bool close;	/* the connection ends with this reply */
	int64_t length; /* of its body; -1: not said, or in chunks */
};

/* A whole head, as http_head_size() finds it. 0, or -EINVAL for what is none. */
int push_reply_parse(const char *head, size_t size, struct push_reply *r);
