/*
 * Giving up rights that a server no longer needs.
 *
 * Three walls, each for what the others let through: the rights of root but a few (and root
 * itself), the paths that can be opened (Landlock, Linux 5.13, its network part 6.7), the system
 * calls that can be made (seccomp). What an older kernel does not have is left out.
 *
 * In this order, and the first two before any thread is started: they bind the calling thread and
 * those it starts; sandbox_calls() binds all of them, and lets none be started.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Becomes `user` (NULL: stays who it is). Of root's rights keeps those to read, write and remove
 * what QEMU's user made; nothing can be gained again. 0 or -errno.
 */
int sandbox_rights(const char *user, struct mn_error *e);

/* What can be done with the files beneath a folder. */
enum sandbox_use {
	SANDBOX_READ,	/* listed and read */
	SANDBOX_CHANGE, /* and written and removed */
	SANDBOX_LOG,	/* only made and written */
};

struct sandbox_path {
	const char *dir;
	enum sandbox_use use;
};

/* The connections that the process is going to make. */
enum sandbox_dial { DIAL_NONE, DIAL_UNIX, DIAL_TCP };

/*
 * From now on only what is beneath these can be opened, and TCP connections made to `port` only (0:
 * none). 0 or -errno.
 */
int sandbox_paths(const struct sandbox_path *paths, size_t count, uint16_t port,
		  struct mn_error *e);

/* From now on only the system calls of a server that is running, and those to dial. 0 or -errno. */
int sandbox_calls(enum sandbox_dial dial, struct mn_error *e);
