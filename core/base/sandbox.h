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

#include "base/error.h"

/*
 * Becomes `user` (NULL: stays who it is). Of root's rights keeps those to read, write and remove
 * what QEMU's user made; nothing can be gained again. 0 or -errno.
 */
int sandbox_rights(const char *user, struct mn_error *e);

struct sandbox_path {
	const char *dir;
	bool write;  /* files can be opened for writing, and removed */
	bool create; /* and made */
};

/* From now on only what is beneath these can be opened, and no TCP connection made. 0 or -errno. */
int sandbox_paths(const struct sandbox_path *paths, size_t count, struct mn_error *e);

/* From now on only the system calls of a server that is running. 0 or -errno. */
int sandbox_calls(struct mn_error *e);
