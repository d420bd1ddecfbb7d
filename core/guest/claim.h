/*
 * One file of an inbox (guest/inbox.h), taken for ourselves: whole, locked, and at the end moved
 * away. Every step looks at the very file that was claimed: its name may be another's by then.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Where the kernel does not tell whether a file is open for writing, for how long it has to be
 * unchanged. */
#define CLAIM_SETTLE_S 5

struct claim {
	int fd;		/* locked with flock(2); -1: none */
	struct stat st; /* as it was when claimed */
};

#define CLAIM_INIT                                                                                 \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/*
 * Whether nobody has the open regular file `fd`, which is as `st` tells, open for writing; or where
 * the kernel does not tell, whether it has settled. SIGIO must be ignored: a writer that comes in
 * that instant draws one.
 */
bool claim_whole(int fd, const struct stat *st);

/* The same of the file `name`; false where it cannot be opened, and for a symbolic link. */
bool claim_whole_at(int dirfd, const char *name);

/*
 * Claims the file `name`. 0; -EAGAIN: somebody writes to it still; -EBUSY: another hook has it;
 * -ENOENT: there is none, or it is no regular file; or what open(2) said.
 */
int claim_take(int dirfd, const char *name, struct claim *c);

/* Whether `name` still is that file, with the content it had. */
bool claim_holds(const struct claim *c, int dirfd, const char *name);

/* Unlocks. Accepts one that has none. */
void claim_drop(struct claim *c);

/*
 * Moves the file into the folder `tofd`, never over another: a name that is taken gets a number, as
 * mv --backup=numbered gives, "NAME.~1~". 0 or -errno.
 */
int claim_move(int dirfd, const char *name, int tofd);

/*
 * The note: a symbolic link `.NAME.memnet` beside the input, whose text tells which file is going
 * to be its object. Made in one step just before that file is published, gone when the input is
 * moved. 0 or -errno.
 */
int claim_note(int dirfd, const char *name, const struct stat *object);
void claim_note_remove(int dirfd, const char *name);

/* Whether the file name `note` is a note's, and of which input. */
bool claim_note_of(const char *note, char name[NAME_MAX + 1]);

/* Whether there is a note, and it tells of the file `object`. */
bool claim_noted(int dirfd, const char *name, const struct stat *object);

/* Removes the folder's notes whose input is gone. */
void claim_notes_clean(int dirfd);
