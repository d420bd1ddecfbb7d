#include "space/live.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/lock.h"
#include "space/layout.h"
#include "space/name.h"

int live_marker_path(const char *path, char marker[LIVE_MARKER_MAX])
{
	char *out = stpcpy(marker, SPACE_LIVE "/");
	const char *end = marker + LIVE_MARKER_MAX;

	for (; *path; path++) {
		const char *escape = *path == '/' ? "%2F" : *path == '%' ? "%25" : NULL;

		if (out + (escape ? 3 : 1) >= end)
			return -ENAMETOOLONG;
		if (escape)
			out = stpcpy(out, escape);
		else
			*out++ = *path;
	}
	*out = '\0';
	return 0;
}

int live_object_path(const char *name, char *path, size_t size)
{
	size_t at = 0;

	for (; *name; name++) {
		char c = *name;

		if (c == '/')
			return -EINVAL; /* each object has one marker name, not two */
		if (c == '%') {
			c = strncmp(name, "%2F", 3) == 0   ? '/'
			    : strncmp(name, "%25", 3) == 0 ? '%'
							   : 0;
			if (!c)
				return -EINVAL;
			name += 2;
		}
		if (at + 1 >= size)
			return -EINVAL;
		path[at++] = c;
	}
	path[at] = '\0';
	return object_path_valid(path) ? 0 : -EINVAL;
}

int live_begin(int rootfd, const char *path, bool *made)
{
	char marker[LIVE_MARKER_MAX];
	cleanup_fd int fd = -1;
	int err = live_marker_path(path, marker);

	if (err)
		return err;
	fd = confine_open(rootfd, marker, O_RDWR | O_CREAT | O_EXCL, 0600);
	*made = fd >= 0;
	if (fd == -EEXIST)
		fd = confine_open(rootfd, marker, O_RDWR, 0);
	if (fd < 0)
		return fd;
	err = lock_byte(fd, 0);
	if (err)
		return err == -EAGAIN ? -EEXIST : err;
	err = live_beat(fd);
	if (!err)
		return STEAL_FD(fd);
	if (*made)
		live_end(rootfd, path);
	return err;
}

int live_beat(int markerfd)
{
	return pwrite(markerfd, "\n", 1, 0) == 1 ? 0 : -errno;
}

int live_end(int rootfd, const char *path)
{
	char marker[LIVE_MARKER_MAX];
	cleanup_fd int folder = -1;
	int err = live_marker_path(path, marker);

	if (err)
		return err;
	/* The host ends markers, too, in a space whose folders a guest may have replaced. */
	folder = confine_open(rootfd, SPACE_LIVE, O_PATH | O_DIRECTORY, 0);
	if (folder < 0)
		return folder;
	return unlinkat(folder, marker + sizeof(SPACE_LIVE), 0) < 0 ? -errno : 0;
}

int live_look(int rootfd, const char *path, uint64_t *beat)
{
	char marker[LIVE_MARKER_MAX];
	cleanup_fd int fd = -1;
	struct stat st;
	int err = live_marker_path(path, marker);

	if (err == -ENAMETOOLONG)
		return 0;
	fd = confine_open_regular(rootfd, marker, O_RDONLY, &st);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	*beat = (uint64_t)st.st_mtim.tv_sec * 1000000000U + (uint64_t)st.st_mtim.tv_nsec;
	return 1;
}
