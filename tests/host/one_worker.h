/*
 * A server with one worker, which turns here, in the test's thread: what the clients do comes
 * between its turns, and its clock only moves when a test says so.
 */
#ifndef TESTS_HOST_ONE_WORKER_H
#define TESTS_HOST_ONE_WORKER_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/sockios.h>

#include "host/conn.h"
#include "tests/scratch.h"
#include "tests/tap.h"

/* A test need not use all of it. */
#define HELPER __attribute__((unused)) static

/* ---- a server, and its turns ---- */

static const struct server_options plain; /* none */
static struct server server;
static struct sites sites;
static struct worker *w;
static int root;
static char path_of[300]; /* "/memnet-test-XXXXXX": what the URLs begin with */

static int64_t now_ns;
static void (*after_batch)(struct loop *loop);
static uint64_t answered, most_answered; /* in a turn */

HELPER int64_t test_clock(void)
{
	return now_ns;
}

HELPER void later(int64_t ns)
{
	now_ns += ns;
}

HELPER uint64_t responses(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < 6; i++)
		sum += w->counters.responses[i];
	return sum;
}

HELPER void after_turn(struct loop *loop)
{
	after_batch(loop);
	if (responses() - answered > most_answered)
		most_answered = responses() - answered;
	answered = responses();
	if (loop->fetched == 0 && !loop->again)
		usleep(200);
	loop_again(loop);
	loop_stop(loop);
}

HELPER void turn(void)
{
	w->loop.stopped = false;
	loop_run(&w->loop);
}

/* Some turns: whatever has come is dealt with. */
HELPER void turns(void)
{
	for (int i = 0; i < 4; i++)
		turn();
}

/* Turns until that is so; false: it was not in a time that is long even on a busy machine. */
HELPER bool until(bool (*what)(void))
{
	const time_t late = time(NULL) + 20;

	while (!what() && time(NULL) < late)
		turn();
	return what();
}

HELPER bool all_gone(void)
{
	return w->conn_count == 0;
}

HELPER int listen_anywhere(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 16) < 0)
		abort();
	return fd;
}

/* Serves the scratch folder, with `options`; `log`: what answers is logged to the file "log". */
HELPER void serve(const struct server_options *options, bool log)
{
	char log_path[300];

	root = scratch_open();
	mkdirat(root, ".memnet", 0700);
	mkdirat(root, ".memnet/live", 0700);
	snprintf(path_of, sizeof(path_of), "%s", strrchr(scratch_path, '/'));
	snprintf(log_path, sizeof(log_path), "%s/log", scratch_path);
	server = (struct server){.options = *options,
				 .energy.consumer = {.process = -1, .stat = -1},
				 .listenfd = listen_anywhere(),
				 .metricsfd = -1,
				 .logfd = -1,
				 .nullfd = open("/dev/null", O_WRONLY | O_CLOEXEC),
				 .rtspfd = -1,
				 .rtpfds = {-1, -1}};
	server.options.workers = 1;
	server.options.drain_ns = 30 * NS_PER_S;
	if (log)
		server.logfd = open(log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	sites = (struct sites){0};
	w = calloc(1, sizeof(*w));
	if (!w || sites_add(&sites, scratch_path, "/nonexistent", NULL) ||
	    release_init(&server.release, options->release == RELEASE_DELIVERED) ||
	    rates_init(&server.object_rates) ||
	    limits_init(&server.limits, options->rate, options->client_rate, sites.count))
		abort();
	server.workers = w;
	/* A whole second first: a deadline of 0 is none. */
	now_ns = NS_PER_S;
	clock_use(test_clock);
	if (worker_init(w, &server, &sites))
		abort();
	answered = most_answered = 0;
	after_batch = w->loop.after;
	w->loop.after = after_turn;
}

HELPER void end(void)
{
	static struct list slabs = {&slabs, &slabs};

	worker_fini(w);
	list_move_all(&w->spare, &slabs); /* which are never freed, and are no leak */
	free(w);
	limits_fini(&server.limits);
	rates_fini(&server.object_rates);
	release_fini(&server.release);
	sites_fini(&sites);
	close(server.listenfd);
	close(server.nullfd);
	if (server.logfd >= 0)
		close(server.logfd);
	close(root);
	clock_use(NULL);
}

/* ---- a client ---- */

/* `room`: of its TCP, for what it has not read; 0: as it comes. */
HELPER int connect_with(int room)
{
	struct sockaddr_in there;
	socklen_t size = sizeof(there);
	const struct timeval patience = {.tv_sec = 20};
	const int segment = 1000;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (room) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
		setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	getsockname(server.listenfd, (struct sockaddr *)&there, &size);
	if (connect(fd, (struct sockaddr *)&there, size) < 0)
		abort();
	return fd;
}

/* Waits until the server's TCP has what was sent: on a busy machine not yet when send() is back. */
HELPER void arrive(int fd)
{
	const time_t late = time(NULL) + 20;
	int left = 1;

	while (ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0 && time(NULL) < late)
		usleep(100);
}

HELPER void ask(int fd, const char *method, const char *name, const char *fields)
{
	char request[1024];
	const int n = snprintf(request, sizeof(request), "%s %s/%s HTTP/1.1\r\nHost: a\r\n%s\r\n",
			       method, path_of, name, fields);

	if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		abort();
	arrive(fd);
}

/* All that has come, to a NUL. */
static char got[2 << 20];
static size_t got_size;
static int client;

HELPER void take(void)
{
	ssize_t n = recv(client, got + got_size, sizeof(got) - 1 - got_size, MSG_DONTWAIT);

	got_size += n > 0 ? (size_t)n : 0;
	got[got_size] = '\0';
}

HELPER bool whole_answer(void)
{
	const char *body, *length;

	take();
	body = strstr(got, "\r\n\r\n");
	length = strstr(got, "Content-Length: ");
	return body && length && body + 4 + atoi(length + 16) <= got + got_size;
}

HELPER int get(int fd, const char *method, const char *name, const char *fields)
{
	client = fd;
	got_size = 0;
	ask(fd, method, name, fields);
	return until(whole_answer) ? atoi(got + 9) : -1;
}

/* Reads to the end, without a turn of the server. The bytes, or -1: it was broken off. */
HELPER ssize_t drink(int fd)
{
	ssize_t n, sum = 0;

	while ((n = recv(fd, got, sizeof(got), 0)) > 0)
		sum += n;
	return n < 0 ? -1 : sum;
}

HELPER struct conn *only_conn(void)
{
	return list_entry(list_first(&w->conns), struct conn, all);
}

HELPER int queued(void)
{
	int n = 0;

	ioctl(only_conn()->watch.fd, SIOCOUTQ, &n);
	return n;
}

HELPER bool connected(void)
{
	return w->conn_count == 1;
}

/* The same, and how much the server's TCP takes of a response. */
HELPER int connect_between(int room, int sending)
{
	const int fd = connect_with(room);

	until(connected);
	setsockopt(only_conn()->watch.fd, SOL_SOCKET, SO_SNDBUF, &sending, sizeof(sending));
	setsockopt(only_conn()->watch.fd, SOL_SOCKET, SO_SNDBUFFORCE, &sending, sizeof(sending));
	return fd;
}

/* The client takes what comes, and the server has no more for it. */
HELPER bool drained(void)
{
	take();
	got_size = 0;
	return all_gone() || (only_conn()->state != CONN_SEND && queued() == 0);
}

HELPER void object_of(const char *name, size_t size)
{
	char *data = calloc(1, size + 1);

	for (size_t i = 0; i < size; i++)
		data[i] = (char)('a' + i / 1000 % 26);
	scratch_file(root, name, data, size);
	free(data);
}

#endif
