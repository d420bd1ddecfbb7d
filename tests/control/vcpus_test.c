/* A monitor that is asked for the vCPUs' threads and thinks for ever. */
#include "control/vcpus.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static struct loop loop;
static struct task_times times = {.family = -1};
static struct vcpus vcpus, heir;

static int listen_at(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(at.sun_path))
		abort();
	memcpy(at.sun_path, path, strlen(path));
	if (fd < 0 || bind(fd, (const void *)&at, sizeof(at)) < 0 || listen(fd, 4) < 0)
		abort();
	return fd;
}

/* Asks it, and ends while it thinks: how long that took. */
static int64_t end_asking(int fd)
{
	int64_t before;
	int client;

	vcpus_look(&vcpus, &times, clock_ns());
	ok(vcpus.answer.fd >= 0, "it is asked");
	client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	before = clock_ns();
	vcpus_close(&vcpus);
	before = clock_ns() - before;
	close(client);
	return before;
}

/* What is waited for takes its time each time; what a busy machine delays does not. */
static void hung_monitor(const char *path)
{
	int fd = listen_at(path);
	int64_t took = VCPUS_ASK_NS;

	for (int i = 0; i < 5 && took >= VCPUS_ASK_NS / 2; i++) {
		vcpus_init(&vcpus, &loop, path);
		took = end_asking(fd);
	}
	ok(took < VCPUS_ASK_NS / 2, "its answer is not waited for at the end");
	ok(waitpid(-1, NULL, WNOHANG) < 0 && vcpus.answer.fd < 0, "and nothing is left behind");
	vcpus_close(&vcpus);
	close(fd);
}

static void adopted(const char *path)
{
	vcpus.count = 1;
	vcpus.tid[0] = 17;
	vcpus.cpu_total_s = 4;
	vcpus_init(&heir, &loop, path);
	vcpus_adopt(&heir, &vcpus);
	ok(heir.count == 1 && heir.tid[0] == 17 && heir.cpu_total_s == 4,
	   "a tuner that comes after knows the threads and their times");
	vcpus_init(&heir, &loop, "/another");
	vcpus_adopt(&heir, &vcpus);
	ok(heir.count == 0 && heir.cpu_total_s == 0, "but not those of another monitor");
	vcpus_close(&heir);
}

int main(void)
{
	char path[sizeof(scratch_path) + 8];

	close(scratch_open());
	snprintf(path, sizeof(path), "%s/sock", scratch_path);
	is_int(loop_init(&loop), 0, "a loop");
	hung_monitor(path);
	adopted(path);
	loop_fini(&loop);
	return done_testing();
}
