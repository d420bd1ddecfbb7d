#include "guest/tempdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PREFIX "memnet-hook-"

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

void tempdir_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *temporary(void)
{
	const char *tmp = getenv("TMPDIR");

	return tmp && *tmp ? tmp : "/tmp";
}

/* A descriptor of the folder `path`, locked; or -errno, -EWOULDBLOCK where another has the lock. */
static int lock_folder(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid())
		return -EPERM;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return STEAL_FD(fd);
}

/* Folders whose lock can be had have no owner any more. */
static void remove_dead(const char *tmp)
{
	cleanup_dir DIR *dir = opendir(tmp);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		cleanup_free char *path = NULL;
		cleanup_fd int fd = -1;

		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 ||
		    strlen(entry->d_name) != strlen(PREFIX "XXXXXX") ||
		    asprintf(&path, "%s/%s", tmp, entry->d_name) < 0)
			continue;
		fd = lock_folder(path);
		if (fd >= 0)
			tempdir_remove(path);
	}
}

/* Makes a folder and locks it. In between another may have taken it for a dead one's: -EAGAIN. */
static int make_folder(const char *tmp, char **path)
{
	cleanup_free char *made = NULL;
	cleanup_fd int fd = -1;
	struct stat st;

	if (asprintf(&made, "%s/" PREFIX "XXXXXX", tmp) < 0) {
		made = NULL;
		return -ENOMEM;
	}
	if (!mkdtemp(made))
		return -errno;
	fd = lock_folder(made);
	if (fd == -ENOENT || fd == -EAGAIN)
		return -EAGAIN;
	if (fd < 0) {
		rmdir(made);
		return fd;
	}
	if (stat(made, &st) < 0)
		return -EAGAIN;
	*path = STEAL_PTR(made);
	return STEAL_FD(fd);
}

int tempdir_open(char **path, struct mn_error *e)
{
	const char *tmp = temporary();
	int fd;

	remove_dead(tmp);
	do
		fd = make_folder(tmp, path);
	while (fd == -EAGAIN);
	return fd < 0 ? mn_fail_errno(e, -fd, "%s: making a folder for files", tmp) : fd;
}
