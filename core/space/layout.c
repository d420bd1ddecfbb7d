#include "space/layout.h"

#include <errno.h>
#include <fcntl.h>
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
