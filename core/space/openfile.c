#include "space/openfile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h> /* and not <sys/stat.h>, whose struct statx some C libraries lack */
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

int openfile_leads_to(int dirfd, const char *name, const struct openfile *f)
{
	const int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
	struct statx st;

	if (syscall(SYS_statx, dirfd, name, flags, STATX_INO, &st) < 0)
		return 0;
	return makedev(st.stx_dev_major, st.stx_dev_minor) == f->device &&
	       (!f->inode || st.stx_ino == f->inode);
}

bool openfile_is_other(const char *name)
{
	return name[0] >= '1' && name[0] <= '9' && (pid_t)atoi(name) != getpid();
}

int openfile_held(int procfd, const char *pid, const struct openfile *f)
{
	char path[300];
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(procfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && openfile_leads_to(fd, entry->d_name, f))
			return 1;
	}
	return 0;
}
