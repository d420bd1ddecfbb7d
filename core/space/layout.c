#include "space/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/confine.h"

/* Makes folder `name` in `dirfd`, and opens what is there then: in *out, or not at all for NULL. */
static int prepare_folder(int dirfd, const char *name, int *out)
{
	cleanup_fd int fd = -1;

	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = confine_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (out)
		*out = STEAL_FD(fd);
	return 0;
}

/*
 * Folder by folder: the guest may have put a symbolic link in the place of the reserved one, and
 * mkdirat(2) would follow it wherever it leads on the host.
 */
int space_prepare(int rootfd)
{
	static const char *const folders[] = {SPACE_PART, SPACE_LIVE, SPACE_JOBS};
	cleanup_fd int reserved = -1;
	int err = prepare_folder(rootfd, SPACE_RESERVED, &reserved);

	for (size_t i = 0; !err && i < sizeof(folders) / sizeof(*folders); i++)
		err = prepare_folder(reserved, folders[i] + sizeof(SPACE_RESERVED), NULL);
	return err;
}

int space_probe(int rootfd)
{
	cleanup_fd int fd = confine_open(rootfd, SPACE_PART, O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? fd : 0;
}
