/*
 * Reading a folder that a guest fills as it likes: at most so many names, no memory taken, never
 * the same one twice in a loop that a busy writer keeps alive.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One name; `type` is a DT_ of <dirent.h>. Lives until the next call. */
struct folder_entry {
	const char *name;
	unsigned char type;
	ino_t inode;
};

/* Reads at a time; a name has 24 bytes and itself. */
#define FOLDER_BUFFER 8192

struct folder_reader {
	int fd; /* the reader's own */
	unsigned left;
	ssize_t size, at;
	char buffer[FOLDER_BUFFER] __attribute__((aligned(8)));
};

/* Opens `path` beneath rootfd, confined, for at most `names` names. 0 or -errno. */
int folder_open(struct folder_reader *reader, int rootfd, const char *path, unsigned names);
void folder_close(struct folder_reader *reader);

/* The next entry but "." and ".."; false at the end, and when the names are used up. */
bool folder_next(struct folder_reader *reader, struct folder_entry *entry);
