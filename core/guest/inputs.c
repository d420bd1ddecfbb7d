#include "guest/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

void inputs_free(struct inputs *in)
{
	for (size_t i = 0; i < in->count; i++)
		free(in->list[i].path);
	free(in->list);
	*in = (struct inputs){0};
}

/* Takes ownership of `path`, also when it fails. */
static int add(struct inputs *in, char *path, size_t name_at)
{
	if (path && in->count == in->room) {
		size_t room = in->room ? in->room * 2 : 64;
		struct input *list = realloc(in->list, room * sizeof(*list));

		if (list) {
			in->list = list;
			in->room = room;
		}
	}
	if (!path || in->count == in->room) {
		free(path);
		return -ENOMEM;
	}
	in->list[in->count++] = (struct input){.path = path, .name = path + name_at};
	return 0;
}

/* Where the last component begins; slashes behind it do not count. */
static size_t last_component(const char *path)
{
	size_t end = strlen(path);

	while (end > 1 && path[end - 1] == '/')
		end--;
	while (end > 0 && path[end - 1] != '/')
		end--;
	return end;
}

static char *join(const char *folder, const char *name)
{
	size_t len = strlen(folder);
	char *path;

	while (len > 1 && folder[len - 1] == '/')
		len--;
	if (len == 1 && folder[0] == '/')
		len = 0;
	return asprintf(&path, "%.*s/%s", (int)len, folder, name) < 0 ? NULL : path;
}

static int walk(struct inputs *in, const char *path, size_t name_at, size_t *unread);

static int walk_entry(struct inputs *in, int dirfd, const struct dirent *entry, char *path,
		      size_t name_at, size_t *unread)
{
	struct stat st = {.st_mode = DTTOIF(entry->d_type)};
	int err = 0;

	if (entry->d_type == DT_UNKNOWN &&
	    fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		++*unread;
	else if (S_ISDIR(st.st_mode))
		err = walk(in, path, name_at, unread);
	else if (S_ISREG(st.st_mode))
		return add(in, path, name_at);
	free(path);
	return err;
}

static int walk(struct inputs *in, const char *path, size_t name_at, size_t *unread)
{
	cleanup_dir DIR *dir = opendir(path);
	struct dirent *entry;
	int err = 0;

	if (!dir)
		++*unread;
	while (dir && !err && (entry = readdir(dir))) {
		char *below;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		below = join(path, entry->d_name);
		err = below ? walk_entry(in, dirfd(dir), entry, below, name_at, unread) : -ENOMEM;
	}
	return err;
}

/* All regular files below a folder; their names begin with its last component. */
static int add_below(struct inputs *in, const char *path, size_t *unread)
{
	size_t name_at = last_component(path);

	/* Below "." and ".." names have no folder in front. */
	if (strcmp(path + name_at, ".") == 0 || strcmp(path + name_at, "./") == 0 ||
	    strncmp(path + name_at, "..", 3) == 0 || strcmp(path + name_at, "../") == 0 ||
	    strcmp(path, "/") == 0)
		name_at = strlen(path) + (path[strlen(path) - 1] != '/');
	return walk(in, path, name_at, unread);
}

int inputs_add(struct inputs *in, const char *path, size_t *unread)
{
	struct stat st;

	if (unread && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return add_below(in, path, unread);
	return add(in, strdup(path), last_component(path));
}

int inputs_add_listed(struct inputs *in, const char *file, char end, size_t *unread,
		      struct mn_error *e)
{
	bool standard = strcmp(file, "-") == 0;
	cleanup_file FILE *f = standard ? NULL : fopen(file, "re");
	cleanup_free char *line = NULL;
	size_t room = 0;
	ssize_t len;

	if (!standard && !f)
		return mn_fail_errno(e, errno, "%s", file);
	while ((len = getdelim(&line, &room, end, standard ? stdin : f)) > 0) {
		if (line[len - 1] == end)
			line[--len] = '\0';
		if (len > 0 && inputs_add(in, line, unread) < 0)
			return mn_fail_errno(e, ENOMEM, "%s", file);
	}
	if (ferror(standard ? stdin : f))
		return mn_fail_errno(e, errno, "%s", file);
	return 0;
}
