/* A listening socket when there are descriptors for its clients, and when there are none. */
#include "base/acceptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/tap.h"

static struct loop loop;
static struct acceptor listener;
static unsigned ready, accepted;
static int last;

static void take(struct watch *w, uint32_t events)
{
	(void)events;
	ready++;
	last = acceptor_take(container_of(w, struct acceptor, watch), NULL, NULL);
	if (last < 0)
		return;
	close(last);
	accepted++;
	loop_stop(&loop);
}

static void time_is_up(struct timer *t)
{
	(void)t;
	loop_stop(&loop);
}

/* Until a client has been taken, or for so long. */
static void run(int64_t ns)
{
	struct timer limit = {.fire = time_is_up};

	loop.stopped = false;
	loop.now_ns = clock_ns();
	loop_timer_set(&loop, &limit, loop.now_ns + ns);
	loop_run(&loop);
	loop_timer_clear(&loop, &limit);
}

/* A client that waits to be taken. */
static int dial(int listenfd)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a;
	socklen_t size = sizeof(a);

	getsockname(listenfd, (struct sockaddr *)&a, &size);
	is_int(connect(fd, (struct sockaddr *)&a, size), 0, "a client comes");
	return fd;
}

/* The most that can be opened: as many as are. */
static void set_limit(rlim_t most)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = most;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int client;

	loop_init(&loop);
	listen(fd, 8);
	is_int(acceptor_start(&listener, &loop, fd, EPOLLIN, take), 0, "it listens");
	client = dial(fd);
	run(10 * NS_PER_S);
	is_int(accepted, 1, "the client is taken");
	close(client);

	client = dial(fd);
	ready = 0;
	set_limit(3);
	run(5 * ACCEPTOR_REST_NS / 2);
	set_limit(64);
	is_int(last, -EMFILE, "without descriptors it is not");
	ok(ready >= 1 && ready <= 3, "and is looked at now and then, not all the time: %u times",
	   ready);
	run(10 * NS_PER_S);
	is_int(accepted, 2, "then it is taken");
	close(client);

	client = dial(fd);
	set_limit(3);
	run(ACCEPTOR_REST_NS / 2);
	set_limit(64);
	acceptor_stop(&listener);
	acceptor_stop(&listener);
	run(2 * ACCEPTOR_REST_NS);
	is_int(accepted, 2, "one that was stopped while it rested rests");
	close(client);
	close(fd);
	loop_fini(&loop);
	return done_testing();
}
