/*
 * Trees as /sys and /proc are on machines that we do not have, written by hand as rows of "PATH
 * CONTENT", and a clock that a test moves.
 */
#ifndef TESTS_ENERGY_TREE_H
#define TESTS_ENERGY_TREE_H

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>

#include "base/clock.h"
#include "tests/scratch.h"

static int64_t tree_now_ns = NS_PER_S;

__attribute__((unused)) static int64_t tree_clock(void)
{
	return tree_now_ns;
}

__attribute__((unused)) static void tree_pass(double seconds)
{
	tree_now_ns += (int64_t)(seconds * NS_PER_S);
}

struct tree_file {
	const char *path, *text;
};

/* Writes a file below the scratch folder's descriptor, and the folders it is in. */
__attribute__((unused)) static void tree_write(int dirfd, const char *path, const char *text)
{
	char dir[256];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
		mkdirat(dirfd, dir, 0755);
	}
	scratch_file(dirfd, path, text, strlen(text));
	fchmodat(dirfd, path, 0644, 0);
}

__attribute__((unused)) static void tree_write_all(int dirfd, const struct tree_file *file)
{
	for (; file->path; file++)
		tree_write(dirfd, file->path, file->text);
}

/* A folder of its own for each case; its path stays valid until the next one. */
__attribute__((unused)) static const char *tree_new(int dirfd, const struct tree_file *file)
{
	static char path[512];
	static int number;
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "tree-%d", ++number);
	snprintf(path, sizeof(path), "%s/%s", scratch_path, name);
	mkdirat(dirfd, name, 0755);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		abort();
	tree_write_all(fd, file);
	close(fd);
	return path;
}

/* Changes a file of the tree last made. */
__attribute__((unused)) static void tree_set(const char *root, const char *path, const char *text)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		abort();
	tree_write(fd, path, text);
	close(fd);
}

/* The CPU seconds since boot of all, and of a process, below the tree's /proc. */
__attribute__((unused)) static void tree_cpu(const char *proc, int pid, double busy_s, double cpu_s)
{
	unsigned int hz = (unsigned int)sysconf(_SC_CLK_TCK);
	char path[64], text[256];

	snprintf(text, sizeof(text), "cpu  %.0f 0 0 9 0 0 0 0 0 0\ncpu0 0 0 0 9 0 0 0\n",
		 busy_s * hz);
	tree_set(proc, "stat", text);
	snprintf(path, sizeof(path), "%d/stat", pid);
	snprintf(text, sizeof(text),
		 "%d (qemu) S 1 2 3 4 5 6 7 8 9 10 %.0f 0 0 0 20 0 3 0 777 1 2\n", pid, cpu_s * hz);
	tree_set(proc, path, text);
}

__attribute__((unused)) static bool near(double got, double want)
{
	return fabs(got - want) <= 1e-6 + 1e-9 * fabs(want);
}

#endif
