#include "host/walk.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "space/name.h"

static DIR *open_folder(int rootfd, const char *path)
{
	cleanup_fd int fd = confine_open(rootfd, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir)
		fd = -1;
	return dir;
}

static void walk_folder(struct walk *w, int rootfd, const char *path, int depth)
{
	cleanup_dir DIR *dir = open_folder(rootfd, path);
	const struct dirent *d;

	if (dir && w->folder)
		w->folder(w, dirfd(dir), path);
	while (dir && w->names > 0 && (d = readdir(dir)) != NULL) {
		char child[OBJECT_PATH_MAX + 1];
		struct stat st;

		w->names--;
		if (snprintf(child, sizeof(child), "%s%s%s", path, *path ? "/" : "", d->d_name) >=
			    (int)sizeof(child) ||
		    !object_path_valid(child) ||
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode))
			w->file(w, child, &st);
		else if (S_ISDIR(st.st_mode) && depth < WALK_DEPTH_MAX)
			walk_folder(w, rootfd, child, depth + 1);
	}
}

void walk_space(struct walk *w, int rootfd, const char *path)
{
	int depth = *path != '\0';

	for (const char *p = path; *p; p++)
		depth += *p == '/';
	walk_folder(w, rootfd, path, depth);
}
