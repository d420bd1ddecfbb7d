/*
 * Connections of one worker, which turns here, in this thread: what the clients do comes between
 * its turns, and its clock only moves when a test says so.
 */
#include "host/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/sockios.h>

#include "host/listing.h"
#include "tests/scratch.h"
#include "tests/tap.h"

/* ---- a server, and its turns ---- */

static struct server server;
static struct sites sites;
static struct worker *w;
static int root;
static char path_of[300]; /* "/memnet-test-XXXXXX": what the URLs begin with */

static int64_t now_ns;
static bool (*awaited)(void);
static void (*after_batch)(struct loop *loop);
static uint64_t turns, most_responses;

static int64_t test_clock(void)
{
	return now_ns;
}

static void later(int64_t ns)
{
	now_ns += ns;
}

static uint64_t responses(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < 6; i++)
		sum += w->counters.responses[i];
	return sum;
}

static void after_turn(struct loop *loop)
{
	static uint64_t before;

	after_batch(loop);
	turns++;
	if (responses() - before > most_responses)
		most_responses = responses() - before;
	before = responses();
	if (loop->fetched == 0 && !loop->again)
		usleep(200);
	loop_again(loop);
	if (!awaited || awaited())
		loop_stop(loop);
}

/* Turns until that is so; false: it was not in a time that is long even on a busy machine. */
static bool until(bool (*what)(void))
{
	const time_t late = time(NULL) + 20;

	awaited = what;
	do {
		w->loop.stopped = false;
		loop_run(&w->loop);
	} while (what && !what() && time(NULL) < late);
	return !what || what();
}

static void turn(void)
{
	uint64_t from = turns;

	while (turns < from + 3)
		until(NULL);
}

static bool all_gone(void)
{
	return w->conn_count == 0;
}

static int listen_anywhere(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 16) < 0)
		abort();
	return fd;
}

/* Serves the scratch folder, with `options`; `log`: what answers is logged to the file "log". */
static void serve(const struct server_options *options, bool log)
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
	after_batch = w->loop.after;
	w->loop.after = after_turn;
}

static void end(void)
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
static int connect_with(int room)
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

static void ask(int fd, const char *method, const char *name, const char *fields)
{
	char request[1024];
	const int n = snprintf(request, sizeof(request), "%s %s/%s HTTP/1.1\r\nHost: a\r\n%s\r\n",
			       method, path_of, name, fields);

	if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		abort();
}

/* All that has come, to a NUL. */
static char got[1 << 20];
static size_t got_size;
static int client;

static void take(void)
{
	ssize_t n = recv(client, got + got_size, sizeof(got) - 1 - got_size, MSG_DONTWAIT);

	got_size += n > 0 ? (size_t)n : 0;
	got[got_size] = '\0';
}

static bool whole_answer(void)
{
	const char *body, *length;

	take();
	body = strstr(got, "\r\n\r\n");
	length = strstr(got, "Content-Length: ");
	return body && length && body + 4 + atoi(length + 16) <= got + got_size;
}

static int get(int fd, const char *method, const char *name, const char *fields)
{
	client = fd;
	got_size = 0;
	ask(fd, method, name, fields);
	return until(whole_answer) ? atoi(got + 9) : -1;
}

/* Reads to the end, without a turn of the server. The bytes, or -1: it was broken off. */
static ssize_t drink(int fd)
{
	ssize_t n, sum = 0;

	while ((n = recv(fd, got, sizeof(got), 0)) > 0)
		sum += n;
	return n < 0 ? -1 : sum;
}

static struct conn *only_conn(void)
{
	return list_entry(list_first(&w->conns), struct conn, all);
}

static void object_of(const char *name, size_t size)
{
	char *data = calloc(1, size + 1);

	for (size_t i = 0; i < size; i++)
		data[i] = (char)('a' + i / 1000 % 26);
	scratch_file(root, name, data, size);
	free(data);
}

static const struct server_options plain;
static const struct server_options delivered = {.release = RELEASE_DELIVERED};

/* ---- the access log ---- */

static bool ended(void)
{
	return responses() > 0 && w->lines.size == 0;
}

static size_t logged(char *buf, size_t size)
{
	const ssize_t n = pread(server.logfd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* Nearly all of a head that has to be escaped, most of it in one place. */
static void ask_badly(size_t line, size_t agent, size_t referer)
{
	static char head[HTTP_HEAD_MAX + 1], bad[HTTP_HEAD_MAX + 1];
	const int fd = connect_with(0);
	int n;

	memset(bad, 0xff, HTTP_HEAD_MAX);
	n = snprintf(head, sizeof(head),
		     "GET /%.*s HTTP/1.1\r\nHost: a\r\nUser-Agent: %.*s\r\nReferer: %.*s\r\n"
		     "Connection: close\r\n\r\n",
		     (int)line, bad, (int)agent, bad, (int)referer, bad);
	if (send(fd, head, (size_t)n, MSG_NOSIGNAL) != n)
		abort();
	until(ended);
	close(fd);
}

static void test_long_lines(bool json)
{
	/* Of the line, the agent and the referrer. What is not found out of a bad line is "-". */
	static const size_t cases[][3] = {{8100, 0, 0}, {4200, 0, 0},	 {2800, 0, 0},
					  {1, 8000, 1}, {1000, 1, 7000}, {1000, 3500, 3500}};
	static char log[1 << 20];
	struct server_options options = {.log_json = json};
	const char *tail = json ? "\"}\n" : "\"\n";

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const size_t words = cases[i][0] + cases[i][1] + cases[i][2];
		size_t n, escapes = 0;

		serve(&options, true);
		ask_badly(cases[i][0], cases[i][1], cases[i][2]);
		n = logged(log, sizeof(log));
		for (const char *p = log; (p = strstr(p, json ? "\\u00ff" : "\\xff")); p++)
			escapes++;
		is_int(escapes, words, "%zu bytes are logged, escaped%s", words,
		       json ? " for JSON" : "");
		ok(n > strlen(tail) && strcmp(log + n - strlen(tail), tail) == 0,
		   "the line is whole");
		ok(strchr(log, '\n') == log + n - 1, "and the only one");
		end();
	}
}

int main(void)
{
	test_long_lines(false);
	test_long_lines(true);
	return done_testing();
}
