#include "space/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"

/* The value of "NAME:   123 kB" at the start of a line; 0 where there is none. */
static uint64_t take(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

int ram_read(struct ram *ram)
{
	char text[8192] = "\n";
	int n = (int)io_read_file(AT_FDCWD, "/proc/meminfo", text + 1, sizeof(text) - 1);

	if (n < 0)
		return n;
	*ram = (struct ram){.total_bytes = take(text, "\nMemTotal:"),
			    .available_bytes = take(text, "\nMemAvailable:"),
			    .swap_bytes = take(text, "\nSwapTotal:"),
			    .swap_free_bytes = take(text, "\nSwapFree:")};
	return ram->total_bytes ? 0 : -EPROTO;
}

/* Takes the limit in a group's folder if it is lower; "max", or v1's 2^63 less a page, is none. */
static void take_limit(const char *group, const char *file, uint64_t *bytes)
{
	char path[PATH_MAX], text[32], *end;
	uint64_t limit;

	if (snprintf(path, sizeof(path), "%s/%s", group, file) >= PATH_MAX ||
	    io_read_file(AT_FDCWD, path, text, sizeof(text)) < 0)
		return;
	limit = strtoull(text, &end, 10);
	if (end != text && limit < *bytes)
		*bytes = limit;
}

/* A group's limit, and those of the groups above it. */
static void take_limits(const char *root, char *group, const char *file, uint64_t *bytes)
{
	char path[PATH_MAX];

	for (;;) {
		if (snprintf(path, sizeof(path), "%s%s", root, group) < PATH_MAX)
			take_limit(path, file, bytes);
		if (!*group)
			return;
		*strrchr(group, '/') = '\0';
	}
}

int ram_limit_of(pid_t pid, uint64_t *bytes)
{
	char path[40], line[PATH_MAX];
	cleanup_file FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	*bytes = INT64_MAX / 2;
	/* "4:memory:/a/b" is version 1, "0::/a/b" version 2. */
	while (fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':');
		char *group = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!group || group[1] != '/')
			continue;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		if (strcmp(controllers, ":memory") == 0)
			take_limits("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", bytes);
		else if (strcmp(controllers, ":") == 0)
			take_limits("/sys/fs/cgroup", group, "memory.max", bytes);
	}
	return *bytes < INT64_MAX / 2;
}
