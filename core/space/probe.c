#include "space/probe.h"

#include <sys/mman.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "space/tmpfs.h"

/* A memfd lives on the kernel's own tmpfs: this asks without mounting anything. */
bool probe_user_xattr(void)
{
	cleanup_fd int fd = memfd_create("probe", MFD_CLOEXEC);

	return fd >= 0 && fsetxattr(fd, "user.memnet", "1", 1, 0) == 0;
}

static int try_tmpfs(const struct tmpfs_options *o)
{
	int fd = tmpfs_make(o, NULL);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

bool probe_noswap(void)
{
	const struct tmpfs_options o = {.size_bytes = 65536, .mode = 0700, .noswap = true};

	return try_tmpfs(&o) == 0;
}

bool probe_huge(void)
{
	const struct tmpfs_options o = {.size_bytes = 65536, .mode = 0700, .huge = "within_size"};

	return try_tmpfs(&o) == 0;
}

int probe_mount_api(void)
{
	const struct tmpfs_options o = {.size_bytes = 65536, .mode = 0700};

	return try_tmpfs(&o);
}
