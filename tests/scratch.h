/* A folder of a test's own, gone with everything in it when the test exits. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_path[256];
static pid_t scratch_owner;

static int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void scratch_remove(void)
{
	if (getpid() == scratch_owner)
		nftw(scratch_path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes the folder; a descriptor of it, which serves as the root of a space. */
__attribute__((unused)) static int scratch_open(void)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	if (scratch_owner == getpid())
		scratch_remove(); /* that of an earlier case: its path is known no longer */
	snprintf(scratch_path, sizeof(scratch_path), "%s/memnet-test-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(scratch_path))
		abort();
	scratch_owner = getpid();
	atexit(scratch_remove);
	fd = open(scratch_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		abort();
	return fd;
}

/* Writes a file in it. */
__attribute__((unused)) static void scratch_file(int dirfd, const char *path, const void *data,
						 size_t size)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

#endif
