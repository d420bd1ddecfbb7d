#include "host/site.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "space/layout.h"
#include "space/name.h"

static int add(struct sites *sites, const char *name, const char *dir, bool space)
{
	struct site *grown = realloc(sites->site, (sites->count + 1) * sizeof(*grown));
	struct site *site;

	if (!grown)
		return -ENOMEM;
	sites->site = grown;
	site = &grown[sites->count];
	*site = (struct site){.name = strdup(name),
			      .name_size = strlen(name),
			      .dir = strdup(dir),
			      .space = space,
			      .rootfd = -1,
			      .live_wd = -1};
	if (!site->name || !site->dir) {
		free(site->name);
		free(site->dir);
		return -ENOMEM;
	}
	sites->count++;
	return 0;
}

static bool names_folder(const char *argument)
{
	return argument[0] == '/' || strncmp(argument, "./", 2) == 0 ||
	       strncmp(argument, "../", 3) == 0;
}

static int add_folder(struct sites *sites, const char *argument, struct mn_error *e)
{
	cleanup_free char *dir = realpath(argument, NULL);
	const char *name = dir ? strrchr(dir, '/') + 1 : "";
	struct stat st;

	if (!dir || stat(dir, &st) < 0)
		return mn_fail_errno(e, errno, "%s", argument);
	if (!S_ISDIR(st.st_mode))
		return mn_fail_errno(e, ENOTDIR, "%s", argument);
	if (!*name)
		return mn_fail(e, MN_USAGE, EINVAL, "%s: the root folder is not served", argument);
	return add(sites, name, dir, false);
}

static int add_space(struct sites *sites, const char *argument, const char *runtime_dir,
		     struct mn_error *e)
{
	cleanup_free char *dir = NULL;
	struct space_name name;
	int err = name_parse(argument, &name, e);

	if (err)
		return err;
	if (asprintf(&dir, "%s/%s", runtime_dir, argument) < 0)
		return -ENOMEM;
	return add(sites, argument, dir, true);
}

int sites_add(struct sites *sites, const char *argument, const char *runtime_dir,
	      struct mn_error *e)
{
	struct space_name name;
	struct stat st;
	int err;

	if (names_folder(argument) ||
	    (name_parse(argument, &name, NULL) && stat(argument, &st) == 0 && S_ISDIR(st.st_mode)))
		err = add_folder(sites, argument, e);
	else
		err = add_space(sites, argument, runtime_dir, e);
	if (err)
		return err;
	for (size_t i = 0; i + 1 < sites->count; i++) {
		if (strcmp(sites->site[i].name, sites->site[sites->count - 1].name) == 0)
			return mn_fail(e, MN_USAGE, EEXIST,
				       "%s: /%s/ is taken by %s (name each once)", argument,
				       sites->site[i].name, sites->site[i].dir);
	}
	return 0;
}

int site_check_release(const char *argument, const char *runtime_dir, struct mn_error *e)
{
	struct sites sites = {0};
	cleanup_free char *reserved = NULL;
	struct stat st;
	int err = 0;

	if (sites_add(&sites, argument, runtime_dir, NULL) == 0 && !sites.site->space) {
		if (asprintf(&reserved, "%s/" SPACE_RESERVED, sites.site->dir) < 0)
			err = -ENOMEM;
		else if (lstat(reserved, &st) < 0 || !S_ISDIR(st.st_mode))
			err = mn_fail(e, MN_REFUSED, EPERM,
				      "%s: a folder that is no space: releasing would delete its "
				      "files (--force does)",
				      argument);
	}
	sites_fini(&sites);
	return err;
}

int sites_copy(struct sites *to, const struct sites *from)
{
	*to = (struct sites){0};
	for (size_t i = 0; i < from->count; i++) {
		int err = add(to, from->site[i].name, from->site[i].dir, from->site[i].space);

		if (err)
			return err;
	}
	return 0;
}

void sites_fini(struct sites *sites)
{
	for (size_t i = 0; i < sites->count; i++) {
		site_close(&sites->site[i]);
		free(sites->site[i].name);
		free(sites->site[i].dir);
	}
	free(sites->site);
	*sites = (struct sites){0};
}

struct site *sites_find(const struct sites *sites, const char *path, const char **object)
{
	for (size_t i = 0; i < sites->count; i++) {
		struct site *site = &sites->site[i];

		if (strncmp(path + 1, site->name, site->name_size) != 0)
			continue;
		*object = path + 1 + site->name_size;
		if (**object == '\0')
			return site;
		if (**object == '/') {
			++*object;
			return site;
		}
	}
	return NULL;
}

static int site_open(struct site *site)
{
	cleanup_fd int fd = open(site->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (site->dev != st.st_dev || site->ino != st.st_ino)
		site->generation++;
	site->dev = st.st_dev;
	site->ino = st.st_ino;
	site->rootfd = STEAL_FD(fd);
	return 0;
}

int site_root(struct site *site, int64_t now_ns)
{
	struct stat st;
	int err;

	site->used_ns = now_ns;
	if (site->rootfd >= 0 && now_ns - site->checked_ns < SITE_TRUST_NS)
		return site->rootfd;
	if (site->rootfd >= 0 &&
	    (stat(site->dir, &st) < 0 || st.st_dev != site->dev || st.st_ino != site->ino))
		site_close(site);
	site->checked_ns = now_ns;
	if (site->rootfd < 0) {
		err = site_open(site);
		if (err)
			return err;
	}
	return site->rootfd;
}

void site_close(struct site *site)
{
	if (site->rootfd >= 0)
		close(site->rootfd);
	site->rootfd = -1;
}
