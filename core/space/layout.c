#include "space/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/confine.h"

int space_prepare(int rootfd)
{
	static const char *const folders[] = {SPACE_RESERVED, SPACE_PART, SPACE_LIVE, SPACE_JOBS};

	for (unsigned i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		if (mkdirat(rootfd, folders[i], 0700) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

int space_probe(int rootfd)
{
	cleanup_fd int fd = confine_open(rootfd, SPACE_PART, O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? fd : 0;
}

int space_find(const char *dir, int *rootfd, char *below, size_t size)
{
	cleanup_free char *path = realpath(dir, NULL);
	cleanup_free char *full = path ? strdup(path) : NULL;
	char *end;

	if (!full)
		return -errno;
	/* From the longest prefix to the shortest; "/" itself is no space. */
	for (end = path + strlen(path); end > path; end = strrchr(path, '/')) {
		const char *rest = full + (end - path);
		cleanup_fd int fd = -1;

		*end = '\0';
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || space_probe(fd) != 0)
			continue;
		rest += *rest == '/';
		if (strlen(rest) >= size)
			return -ENAMETOOLONG;
		strcpy(below, rest);
		*rootfd = STEAL_FD(fd);
		return 0;
	}
	return -ENOENT;
}
