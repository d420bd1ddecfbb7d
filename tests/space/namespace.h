/* A mount namespace of a test's own, and a user namespace where it needs one to have that. */
#ifndef TESTS_SPACE_NAMESPACE_H
#define TESTS_SPACE_NAMESPACE_H

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"

static void namespace_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		diag("%s: cannot write", path);
	close(fd);
}

static bool namespace_user(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	char map[40];

	if (unshare(CLONE_NEWUSER) < 0)
		return false;
	namespace_write("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	namespace_write("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	namespace_write("/proc/self/gid_map", map);
	return true;
}

/* Enters it, with an empty tmpfs on /tmp; ends the test where neither is allowed. */
static void namespace_enter(void)
{
	if ((geteuid() != 0 && !namespace_user()) || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("test", "/tmp", "tmpfs", 0, "size=64m") < 0) {
		printf("1..0 # SKIP mount namespaces are not allowed here\n");
		exit(0);
	}
}

#endif
