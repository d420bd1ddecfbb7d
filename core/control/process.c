#include "control/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

/* The loop itself has some dozens. */
#define DESCRIPTORS_MAX 4096

static bool kept(int fd, const int keep[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (keep[i] == fd)
			return true;
	}
	return false;
}

void process_isolate(const int keep[], size_t n)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	long most = sysconf(_SC_OPEN_MAX);
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setsid(); /* the terminal's signals are for the parent */
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	for (int fd = 3; fd < (most > 0 && most < DESCRIPTORS_MAX ? most : DESCRIPTORS_MAX); fd++) {
		if (!kept(fd, keep, n))
			close(fd);
	}
}
