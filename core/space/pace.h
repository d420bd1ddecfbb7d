/*
 * The host's word to the jobs of a space: `.memnet/pace`, one small JSON object.
 *
 * Theory of operation. The controller writes it at least once a period, into a second file that is
 * then exchanged with the first (renameat2(2)), so that a reader finds one whole word or the other,
 * and a full space still takes it: both keep their page. When the controller ends it removes the
 * file; when it is killed, its watchdog does. A reader that has seen the same serial for
 * `valid_ns` of its own clock, or finds no file, takes it that the host has nothing to say.
 *
 * The folder is the guest's, who may put anything there: the host opens confined, writes only to a
 * regular file of one name and of no great size, and a guest that spoils it paces nobody but
 * itself.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PACE_SCHEMA 1
#define PACE_MAX    1024 /* bytes of the file */
#define PACE_ANY    UINT32_MAX

struct pace {
	uint64_t serial; /* another one each time */
	uint64_t size_bytes, free_bytes;
	uint64_t drain_bytes_per_s; /* what clients took lately; 0: nothing, or not known */
	uint32_t growing_limit;	    /* let no more objects than this grow; PACE_ANY: any number */
	int level;		    /* advice: -1 compress less, room is idle; 1 compress more */
	int64_t valid_ns;
};

/* Writes the JSON text, a NUL behind it. Its length, or -ENOSPC. */
int pace_format(const struct pace *pace, char *buf, size_t size);

/* Takes it from `size` bytes. 0, or -EINVAL with *pace undefined. */
int pace_parse(const char *text, size_t size, struct pace *pace);

/*
 * Host: makes it the word of the space whose root is `rootfd`, readable for its owner. 0 or
 * -errno: -ENOSPC where the space had no page left the first time, -EINVAL for what the guest put
 * in its place.
 */
int pace_write(int rootfd, const struct pace *pace);
void pace_remove(int rootfd);

/* Guest: 0, -ENOENT where the host says nothing, or -errno. */
int pace_read(int rootfd, struct pace *pace);
