/*
 * Playlists wait for the segments they name. The next to be handed out is moved aside first, under
 * a name of ours, and so stays what it is though its writer replaces it meanwhile: what its writer
 * puts in its place is the next one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The name of ours, in the folder that their names are relative to. */
#define PLAYLISTS_ASIDE ".memnet-aside"

/* All zero: none. */
struct playlists {
	char **names; /* complete, in the order that they became so */
	size_t count;
	char *aside; /* the name of the one that was moved aside, or NULL */
};

/* Whether a file of this name is one. */
bool playlists_match(const char *name);

/* One more is complete; it may be one that waits already. 0 or -ENOMEM. */
int playlists_add(struct playlists *p, const char *name);

/*
 * Moves the first one aside, where none is. One that was removed or is being written again is
 * dropped: none is aside then. 0 or -errno.
 */
int playlists_set_aside(struct playlists *p, int dirfd);

/* Gives the one that is aside, if any, its name back, unless there is a newer one. */
void playlists_put_back(struct playlists *p, int dirfd);

void playlists_close(struct playlists *p);
