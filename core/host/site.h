/*
 * What is served: spaces, by VM/SPACE, and plain folders, by their own name.
 *
 * A space's root is opened when it is needed and let go when it has not been for a while: it may
 * not be there yet, it may be destroyed (an open root would keep it mounted), and what is mounted
 * there may be another one next time. Each worker has its own table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "host/survey.h"

struct site {
	char *name; /* "web1/out": the URL's first components */
	size_t name_size;
	char *dir;
	bool space;
	int rootfd;	     /* -1: not open */
	unsigned generation; /* another one for each file system that has been there */
	dev_t dev;	     /* of rootfd */
	ino_t ino;
	int64_t checked_ns, used_ns;	 /* that `dir` still is rootfd; that anyone asked */
	int live_wd;			 /* inotify's, for .memnet/live; -1: none (host/follow.h) */
	uint64_t requests, sent, stalls; /* served from it: for the metrics */
	struct survey_now survey;	 /* of this worker's connections */
};

struct sites {
	struct site *site;
	size_t count;
};

/*
 * Adds an argument: "VM/SPACE", beneath runtime_dir, there or not; or an existing folder, if the
 * argument has a '/' in front, begins with "./" or "../", or is no VM/SPACE. 0, or -errno with *e.
 */
int sites_add(struct sites *sites, const char *argument, const char *runtime_dir,
	      struct mn_error *e);

/*
 * Whether what the argument names may be released: a space, or a folder that has been used as one
 * (it has a .memnet). 0, or -EPERM with *e, and MN_REFUSED: any other folder's files are
 * somebody's. 0, too, for what sites_add() refuses.
 */
int site_check_release(const char *argument, const char *runtime_dir, struct mn_error *e);

int sites_copy(struct sites *to, const struct sites *from);
void sites_fini(struct sites *sites);

/*
 * The site that `path` ("/web1/out/a/b") is of, and in *object the path in it ("a/b"; "" for the
 * root, with or without a '/' behind). NULL: none.
 */
struct site *sites_find(const struct sites *sites, const char *path, const char **object);

/*
 * The root's descriptor, the site's own; -ENOENT and the like if it is not there. At most
 * SITE_TRUST_NS after another file system took its place, it is that one's.
 */
#define SITE_TRUST_NS 50000000LL
int site_root(struct site *site, int64_t now_ns);

/* Closes the root, so that it can be unmounted. */
void site_close(struct site *site);
