/* Large writes: what they leave in the file, whichever way they go. */
#include "space/bulk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "space/layout.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static char *some(size_t size)
{
	char *data = malloc(size);

	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * 7 + i / 4096);
	return data;
}

/* Pieces of all sizes one behind the other are in the file as they were. */
static void appends(int root, const char *data)
{
	static const size_t sizes[] = {1, 16384, 16383, SPACE_WRITE_MAX, 100001, SPACE_WRITE_MAX};
	int fd = openat(root, "file", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	char *back = malloc(SPACE_WRITE_MAX);
	off_t at = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		is_int(bulk_write(fd, data + i, sizes[i]), (intmax_t)sizes[i], "%zu bytes",
		       sizes[i]);
		ok(pread(fd, back, sizes[i], at) == (ssize_t)sizes[i] &&
			   memcmp(back, data + i, sizes[i]) == 0,
		   "are what is there");
		at += (off_t)sizes[i];
	}
	is_int(lseek(fd, 0, SEEK_END), at, "and nothing else is");
	free(back);
	close(fd);
}

static void refused(int root, const char *data)
{
	int fd = openat(root, "file", O_RDONLY | O_CLOEXEC);

	errno = 0;
	is_int(bulk_write(fd, data, SPACE_WRITE_MAX), -1, "a file that is not open for it");
	is_int(errno, EBADF, "is told of");
	close(fd);
	fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	errno = 0;
	is_int(bulk_write(fd, data, SPACE_WRITE_MAX), -1, "no room");
	is_int(errno, ENOSPC, "is told of");
	close(fd);
}

/* A process that gets no ring writes as any other. */
static void without(int root, const char *data)
{
	struct rlimit none = {0};
	int fd = openat(root, "plain", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600), status = -1;
	pid_t child = fork();

	if (child == 0) {
		setrlimit(RLIMIT_NOFILE, &none);
		_exit(bulk_write(fd, data, SPACE_WRITE_MAX) != SPACE_WRITE_MAX ||
		      bulk_write(fd, data, SPACE_WRITE_MAX) != SPACE_WRITE_MAX);
	}
	waitpid(child, &status, 0);
	is_int(status, 0, "without a ring all is written");
	is_int(lseek(fd, 0, SEEK_END), 2 * SPACE_WRITE_MAX, "and once");
	close(fd);
}

int main(void)
{
	char *data = some(SPACE_WRITE_MAX + 100);
	int root = scratch_open();

	without(root, data);
	appends(root, data);
	refused(root, data);
	unlinkat(root, "file", 0);
	appends(root, data); /* behind an error as before it */
	free(data);
	close(root);
	return done_testing();
}
