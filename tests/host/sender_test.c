/* The paths of an object into a socket: the same bytes by each, whatever the guest does meanwhile.
 */
#include "host/sender.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "host/object.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#define SIZE (5 * 1024 * 1024 + 123)

static struct store store;
static struct sites sites;
static struct sender sender;
static int root;
static unsigned char data[SIZE];

static void ignore(struct object *o)
{
	(void)o;
}

static void connect_pair(int socks[2])
{
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(a);

	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &size) < 0)
		abort();
	socks[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(socks[1], (struct sockaddr *)&a, sizeof(a)) < 0)
		abort();
	socks[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	close(listener);
}

static void close_pair(const int socks[2])
{
	close(socks[0]);
	close(socks[1]);
}

static struct object *get(const char *path)
{
	struct object *o = NULL;

	store_round(&store);
	if (store_get(&store, sites.site, path, clock_ns(), &o))
		abort();
	return o;
}

static void put(struct object *o)
{
	object_put(o, clock_ns());
}

/* Asked for often enough that it is mapped, if it ever will be. */
static struct object *get_again(const char *path)
{
	for (int i = 0; i < 5; i++) {
		usleep(15000);
		put(get(path));
	}
	return get(path);
}

static int in_pipe(void)
{
	int n = -1;

	return sender.pipe[0] < 0 || ioctl(sender.pipe[0], FIONREAD, &n) < 0 ? 0 : n;
}

static ssize_t send_once(int sock, struct object *o, int64_t at, size_t size)
{
	bool full;

	return sender_send(&sender, sock, o, at, size, &full);
}

static ssize_t drain(int sock, unsigned char *got, ssize_t at, ssize_t room)
{
	ssize_t n;

	while (at < room && (n = recv(sock, got + at, (size_t)(room - at), MSG_DONTWAIT)) > 0)
		at += n;
	return at;
}

/* Sends all of it to two sockets in turns, reading as they fill. Whether both got it unharmed. */
static bool sent_to_two(struct object *o)
{
	static unsigned char got[2][SIZE];
	int64_t sent[2] = {0};
	ssize_t have[2] = {0};
	int pair[2][2], full = 0;
	bool clean = true, told;

	connect_pair(pair[0]);
	connect_pair(pair[1]);
	while (have[0] < SIZE || have[1] < SIZE) {
		for (int i = 0; i < 2; i++) {
			ssize_t n = sent[i] == SIZE ? 0
						    : sender_send(&sender, pair[i][0], o, sent[i],
								  (size_t)(SIZE - sent[i]), &told);

			if (n < 0 && n != -EAGAIN)
				return false;
			full += n < 0;
			sent[i] += n > 0 ? n : 0;
			clean &= in_pipe() == 0;
			if (full % 3 != 1)
				have[i] = drain(pair[i][1], got[i], have[i], SIZE);
		}
		full++;
	}
	close_pair(pair[0]);
	close_pair(pair[1]);
	ok(clean, "nothing stays in the pipe");
	return memcmp(got[0], data, SIZE) == 0 && memcmp(got[1], data, SIZE) == 0;
}

static void test_paths(void)
{
	struct object *o;

	scratch_file(root, "x", data, SIZE);
	o = get("x");
	ok(!o->map, "asked for once: not mapped");
	ok(sent_to_two(o), "by sendfile(2)");
	put(o);
	o = get_again("x");
	ok(o->map != NULL, "asked for again: mapped");
	ok(sent_to_two(o), "from the mapping");
	is_int(o->populated, SIZE, "populated to its end");
	ok(sent_to_two(o), "once more");
	put(o);
}

static void test_no_pipe(void)
{
	struct object *o = get_again("x");
	const struct sender whole = sender;

	sender_init(&sender, -1);
	ok(sent_to_two(o), "mapped, but no pipe to be had");
	sender = whole;
	put(o);
}

static void test_far_ahead(void)
{
	struct object *o;

	scratch_file(root, "far", data, SIZE);
	o = get_again("far");
	ok(o->map && !object_mapping(o, SIZE - 100, 100), "far ahead of what is populated: not");
	ok(object_mapping(o, 0, 100) == o->map, "at its beginning");
	is_int(o->populated, OBJECT_MAP_STEP, "a step is populated");
	ok(!object_mapping(o, SIZE - 100, 101), "not behind its end");
	put(o);
}

static void test_truncated(void)
{
	struct object *o;
	int pair[2], fd;

	scratch_file(root, "t", data, SIZE);
	o = get_again("t");
	connect_pair(pair);
	ok(send_once(pair[0], o, 0, 100000) > 0, "sent a part");
	fd = openat(root, "t", O_RDWR | O_CLOEXEC);
	if (ftruncate(fd, 50000) < 0)
		abort();
	is_int(send_once(pair[0], o, 100000, 400000), 0, "truncated before: the object ends");
	ok(send_once(pair[0], o, 0, 100000) <= 53248, "truncated within: a part");
	if (ftruncate(fd, SIZE) < 0)
		abort();
	ok(send_once(pair[0], o, 100000, 50000) != -EFAULT, "grown again: no error");
	is_int(in_pipe(), 0, "nothing stays in the pipe");
	close(fd);
	close_pair(pair);
	put(o);
}

static void test_holes(void)
{
	struct object *o;
	int fd;

	scratch_file(root, "holes", "x", 1);
	fd = openat(root, "holes", O_RDWR | O_CLOEXEC);
	if (ftruncate(fd, SIZE) < 0)
		abort();
	close(fd);
	o = get_again("holes");
	ok(!o->map, "one with holes is not mapped");
	put(o);
}

/* What is said to be full is not tried again: its next event has to come. */
static void test_full(void)
{
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
	const int epfd = epoll_create1(EPOLL_CLOEXEC);
	static unsigned char got[SIZE];
	struct object *o = get_again("x");
	bool full = false;
	ssize_t n = 0;
	int pair[2];

	connect_pair(pair);
	epoll_ctl(epfd, EPOLL_CTL_ADD, pair[0], &event);
	is_int(epoll_wait(epfd, &event, 1, 0), 1, "there is room");
	while (n >= 0 && !full)
		n = sender_send(&sender, pair[0], o, 0, SIZE, &full);
	ok(n > 0, "full is told with the last bytes, not by another call");
	is_int(epoll_wait(epfd, &event, 1, 0), 0, "no room");
	drain(pair[1], got, 0, SIZE);
	is_int(epoll_wait(epfd, &event, 1, 10000), 1, "room again");
	ok(send_once(pair[0], o, 0, SIZE) > 0, "and it takes more");
	close_pair(pair);
	close(epfd);
	put(o);
}

static void test_client_gone(void)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};
	struct object *o = get_again("x");
	int pair[2];
	ssize_t n;

	connect_pair(pair);
	while ((n = send_once(pair[0], o, 0, SIZE)) > 0)
		;
	is_int(n, -EAGAIN, "the socket is full");
	setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(pair[1]);
	n = send_once(pair[0], o, 0, SIZE);
	ok(n == -ECONNRESET || n == -EPIPE, "the client has reset it");
	is_int(in_pipe(), 0, "nothing stays in the pipe");
	close(pair[0]);
	ok(sent_to_two(o), "and the next clients get theirs");
	put(o);
}

int main(void)
{
	const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	signal(SIGPIPE, SIG_IGN);
	root = scratch_open();
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (unsigned char)(i * 2654435761U >> 13);
	if (sites_add(&sites, scratch_path, "/nowhere", NULL) || store_init(&store, true, false))
		return 1;
	store.follow = store.unfollow = store.changed = ignore;
	sender_init(&sender, null);
	ok(sender.pipe[0] >= 0, "a pipe");
	test_paths();
	test_no_pipe();
	test_far_ahead();
	test_truncated();
	test_holes();
	test_full();
	test_client_gone();
	store_fini(&store);
	sender_fini(&sender);
	sites_fini(&sites);
	close(null);
	return done_testing();
}
