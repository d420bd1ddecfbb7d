#include "space/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/confine.h"

/* To the owner of the space's root, who is the user that QEMU runs as. */
static int make_folder(int rootfd, const struct stat *root, const char *path)
{
	cleanup_fd int fd = -1;

	if (mkdirat(rootfd, path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = confine_open(rootfd, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	return fchown(fd, root->st_uid, root->st_gid) < 0 ? -errno : 0;
}

int space_prepare(int rootfd)
{
	static const char *const folders[] = {SPACE_RESERVED, SPACE_PART, SPACE_LIVE, SPACE_JOBS};
	struct stat root;

	if (fstat(rootfd, &root) < 0)
		return -errno;
	for (unsigned i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		int err = make_folder(rootfd, &root, folders[i]);

		if (err)
			return err;
	}
	return 0;
}

int space_probe(int rootfd)
{
	cleanup_fd int fd = confine_open(rootfd, SPACE_PART, O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? fd : 0;
}
