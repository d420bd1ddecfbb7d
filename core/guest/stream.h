/*
 * Bytes in and bytes out, as encode.c sees them: where input comes from, and the two places output
 * can go, an ordinary descriptor (this file) or an object in a space (guest/object.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SOURCE_SIZE_UNKNOWN UINT64_MAX

struct source {
	int fd;
	uint64_t size;	/* of a regular file when it was opened, else SOURCE_SIZE_UNKNOWN */
	uint64_t taken; /* bytes read so far */
	int idle_ms;	/* a pipe or terminal: how long source_read() may take; -1: regular */
};

/* Fills in a source for the open `fd`. 0 or -errno. */
int source_init(struct source *s, int fd);

/*
 * Reads until `want` bytes, the end, or idle_ms have passed. The bytes read, with *more false
 * at the end (a regular file ends where it did when it was opened); or -errno, -EINTR on a request
 * to stop, -ESTALE when a regular file became shorter.
 */
ssize_t source_read(struct source *s, void *buf, size_t want, bool *more);

/*
 * write() takes all of `data`, or returns -errno. idle() is called while the source has nothing for
 * a while; NULL where nothing is to be done then.
 */
struct sink {
	int (*write)(void *cookie, const void *data, size_t size);
	int (*idle)(void *cookie);
	void *cookie;
};

static inline int sink_write(const struct sink *s, const void *data, size_t size)
{
	return s->write(s->cookie, data, size);
}

static inline int sink_idle(const struct sink *s)
{
	return s->idle ? s->idle(s->cookie) : 0;
}

/* A descriptor; with `sparse` runs of zeros become holes, and file_sink_end() sets the length. */
struct file_sink {
	int fd;
	bool sparse;
	bool hole; /* the end of the file is in one */
};
struct sink file_sink(struct file_sink *f);
int file_sink_end(struct file_sink *f);

/* Takes everything and keeps nothing. */
extern const struct sink null_sink;
