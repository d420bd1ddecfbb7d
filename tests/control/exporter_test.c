/* The figures' address: taken over from the dead, not from the living, and never waited for. */
#include "control/exporter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/tuner.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static struct loop loop;
static char buf[8192], path[108];

static int open_at(const char *address, struct mn_error *e)
{
	static struct tuner tuner;
	struct exporter x;
	int err = exporter_open(&x, &loop, &tuner, address, 0, buf, sizeof(buf), e);

	exporter_close(&x);
	return err;
}

static struct sockaddr_un address(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(a.sun_path, path);
	return a;
}

/* A socket at the path, whose queue is as short as can be. */
static int living(void)
{
	const struct sockaddr_un a = address();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const void *)&a, sizeof(a)) < 0 || listen(fd, 0) < 0)
		abort();
	return fd;
}

/* Fills that queue; what a client too many is told. The clients are left to the test's end. */
static int fill(void)
{
	const struct sockaddr_un a = address();
	int err = 0;

	while (!err) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (connect(fd, (const void *)&a, sizeof(a)) < 0)
			err = errno;
	}
	return err;
}

int main(void)
{
	struct mn_error e = MN_ERROR_INIT;
	int fd;

	close(scratch_open());
	snprintf(path, sizeof(path), "%.90s/socket", scratch_path);
	if (loop_init(&loop))
		abort();
	is_int(open_at(path, &e), 0, "a path");
	ok(access(path, F_OK) < 0, "which goes with it");
	is_int(open_at("localhost", &e), -EINVAL, "a name is no address");
	is_int(open_at("127.0.0.1", &e), 0, "an address");

	fd = living();
	is_int(open_at(path, &e), -EADDRINUSE, "one that listens keeps its path");
	ok(access(path, F_OK) == 0, "and its socket");
	is_int(fill(), EAGAIN, "its process is stopped, and its queue full");
	alarm(20); /* not for ever, if it is waited for */
	is_int(open_at(path, &e), -EADDRINUSE, "nobody waits for it");
	close(fd);
	is_int(open_at(path, &e), 0, "one that has died does not keep it");
	loop_fini(&loop);
	return done_testing();
}
