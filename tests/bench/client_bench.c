/*
 * Clients that each take a file at a rate, as players of a video do, and what they got:
 *
 *   client_bench [-n CLIENTS] [-r RATE] [-t DURATION] [-u RAMP] [-i INTERVAL] [-o PREFIX]
 *                http://ADDRESS:PORT/PATH
 *
 * Theory of operation. Each client fetches the file again and again over one connection, and plays
 * what it got at RATE (2Mbit). It keeps AHEAD_NS of it in store and asks its socket for no more, so
 * that TCP's window holds the server to the rate; whatever a server does to pace itself comes on
 * top. A client that runs out of what it plays, or waits PATIENCE_NS for its beginning, has a
 * stall, which ends when it has RESUME_NS in store. It does not catch up afterwards: what all
 * clients want is never more than their number times the rate, but for filling the store. So, where
 * the server cannot keep up, the mean number of those that play is the number it could have fed.
 *
 * One thread serves thousands of them: the connections wait in epoll only for an answer's head;
 * bodies are read, and players moved on, when a wheel of SLOTS ticks comes by, once in VISIT_NS,
 * and the kernel drops the bytes (MSG_TRUNC). A tick is out of step with the kernel's own of 4 or
 * 10 ms, by which it samples who uses the CPU: it would see none of this. The clients start one
 * after the other during RAMP (1s), and it ends after DURATION (10s), or with SIGINT or SIGTERM.
 *
 * The sums are printed as TSV; its last column is how late this program itself was at most, for
 * want of a CPU: what it says of stalls shorter than that is not the server's doing.
 * PREFIXseries.tsv gets a row each INTERVAL (250ms), PREFIXclients.tsv one for each client,
 * PREFIXstalls.tsv one for each stall, with times in seconds since the start; the first line tells
 * when that was by the wall clock.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/options.h"

#define AHEAD_NS    NS_PER_S
#define RESUME_NS   (500 * NS_PER_MS)
#define PATIENCE_NS (2 * NS_PER_S) /* to begin; longer than that is a stall */
#define RETRY_NS    (500 * NS_PER_MS)
#define TICK_NS	    9700000LL
#define SLOTS	    20
#define VISIT_NS    (SLOTS * TICK_NS)
#define SERVED	    0.95 /* of the rate, for a client to count as served */
#define CLIENTS_MAX 50000
#define WINDOW	    (128 << 10)

enum state {
	WAITING, /* until `at_ns`: to start, or to try again */
	CONNECTING,
	HEAD,
	BODY,
};

struct client {
	enum state state;
	int fd;
	int64_t at_ns, began_ns; /* 0: has not begun */
	int64_t body_left;
	int64_t got, played; /* bytes */
	int64_t seen_ns;     /* until when `played` is right */
	int64_t dry_ns;	     /* since when it does not play */
	int64_t first_play_ns, stalled_ns;
	bool playing;
	unsigned int stalls, failures;
	size_t head_size;
	char head[1024];
};

struct bench {
	struct client *client;
	int count, epfd;
	int64_t rate; /* bytes a second */
	int64_t ramp_ns, lasts_ns, interval_ns;
	struct sockaddr_storage server;
	socklen_t server_size;
	char request[1200];
	size_t request_size;
	FILE *series, *stalls;
	int64_t start_ns;
	struct timespec start; /* the same by the wall clock */
	int64_t shown_got;     /* in the series so far */
	int64_t late_ns;       /* the most that we came too late ourselves */
	int why;	       /* errno, or the status, of the last failure */
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static double seconds(int64_t ns)
{
	return (double)ns / NS_PER_S;
}

static int64_t bytes_in(const struct bench *b, int64_t ns)
{
	return (int64_t)((double)b->rate * seconds(ns));
}

static bool begun(const struct client *c)
{
	return c->began_ns != 0;
}

/* --- the player ------------------------------------------------------------------------------- */

static void run_dry(struct bench *b, struct client *c)
{
	const double left_s = (double)(c->got - c->played) / (double)b->rate;

	c->dry_ns = c->seen_ns + (int64_t)(left_s * NS_PER_S);
	c->played = c->got;
	c->playing = false;
	c->stalls++;
}

static void play(struct bench *b, struct client *c, int64_t now)
{
	int64_t due = c->played + bytes_in(b, now - c->seen_ns);

	if (c->playing && due > c->got)
		run_dry(b, c);
	else if (c->playing)
		c->played = due;
	c->seen_ns = now;
}

/* It plays again, or the run is over. */
static void end_wait(struct bench *b, struct client *c, int64_t now)
{
	const int64_t waited_ns = now - c->dry_ns;

	if (!c->first_play_ns && waited_ns < PATIENCE_NS)
		return;
	c->stalls += !c->first_play_ns;
	c->stalled_ns += waited_ns;
	if (b->stalls)
		fprintf(b->stalls, "%td\t%.3f\t%.3f\n", c - b->client,
			seconds(c->dry_ns - b->start_ns), seconds(waited_ns));
}

static void resume(struct bench *b, struct client *c, int64_t now)
{
	if (c->playing || c->got - c->played < bytes_in(b, RESUME_NS))
		return;
	end_wait(b, c, now);
	if (!c->first_play_ns)
		c->first_play_ns = now;
	c->playing = true;
}

/* --- the connection --------------------------------------------------------------------------- */

static void want(struct bench *b, struct client *c, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	epoll_ctl(b->epfd, EPOLL_CTL_MOD, c->fd, &ev);
}

static void fail(struct bench *b, struct client *c, int64_t now, int why)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = WAITING;
	c->at_ns = now + RETRY_NS;
	c->failures++;
	b->why = why;
}

static void begin_connection(struct bench *b, struct client *c, int64_t now)
{
	struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = c};

	if (!begun(c))
		c->began_ns = c->seen_ns = c->dry_ns = now;
	c->fd = socket(b->server.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return fail(b, c, now, errno);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &(int){WINDOW}, sizeof(int));
	if (connect(c->fd, (struct sockaddr *)&b->server, b->server_size) < 0 &&
	    errno != EINPROGRESS)
		return fail(b, c, now, errno);
	if (epoll_ctl(b->epfd, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		return fail(b, c, now, errno);
	c->state = CONNECTING;
}

static void ask(struct bench *b, struct client *c, int64_t now)
{
	if (send(c->fd, b->request, b->request_size, MSG_NOSIGNAL) != (ssize_t)b->request_size)
		return fail(b, c, now, errno);
	c->head_size = 0;
	c->state = HEAD;
	want(b, c, EPOLLIN);
}

/* The body's length; -1 for a head that we cannot use. */
static int64_t parse_head(struct bench *b, const char *head)
{
	const char *length = strcasestr(head, "\r\ncontent-length:");
	int status = 0;

	sscanf(head, "HTTP/1.%*c %d", &status);
	if (status == 200 && length)
		return atoll(length + strlen("\r\ncontent-length:"));
	b->why = status;
	return -1;
}

static void take_body(struct bench *b, struct client *c, int64_t now);

static void read_head(struct bench *b, struct client *c, int64_t now)
{
	size_t room = sizeof(c->head) - 1 - c->head_size;
	ssize_t n = room ? recv(c->fd, c->head + c->head_size, room, 0) : 0;
	char *end;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		return fail(b, c, now, n ? errno : ECONNRESET);
	c->head_size += (size_t)n;
	c->head[c->head_size] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return;
	end[2] = '\0';
	c->body_left = parse_head(b, c->head);
	if (c->body_left <= 0)
		return fail(b, c, now, b->why);
	n = c->head + c->head_size - (end + 4);
	c->body_left -= n;
	c->got += n;
	c->state = BODY;
	want(b, c, 0);
	take_body(b, c, now);
}

/* As much of the body as there is and the store has room for. */
static void take_body(struct bench *b, struct client *c, int64_t now)
{
	while (c->body_left > 0) {
		int64_t room = bytes_in(b, AHEAD_NS) - (c->got - c->played);
		int64_t most = room < c->body_left ? room : c->body_left;
		ssize_t n;

		if (most <= 0)
			return;
		n = recv(c->fd, NULL, (size_t)most, MSG_TRUNC);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			return fail(b, c, now, n ? errno : ECONNRESET);
		c->body_left -= n;
		c->got += n;
	}
	ask(b, c, now);
}

static void on_event(struct bench *b, struct client *c, uint32_t events, int64_t now)
{
	int err = 0;

	if (events & EPOLLERR)
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){sizeof(err)});
	if (err)
		return fail(b, c, now, err);
	if (c->state == CONNECTING)
		ask(b, c, now);
	else if (c->state == HEAD)
		read_head(b, c, now);
	else if (c->state == BODY && events & EPOLLHUP)
		take_body(b, c, now);
}

static void visit(struct bench *b, struct client *c, int64_t now)
{
	if (c->state == WAITING && now >= c->at_ns)
		begin_connection(b, c, now);
	if (!begun(c))
		return;
	play(b, c, now);
	if (c->state == BODY)
		take_body(b, c, now);
	resume(b, c, now);
}

/* --- the run ---------------------------------------------------------------------------------- */

static void put_series(struct bench *b, int64_t now)
{
	int started = 0, playing = 0;
	unsigned int stalls = 0, failures = 0;
	int64_t got = 0;

	if (!b->series)
		return;
	for (int i = 0; i < b->count; i++) {
		started += begun(&b->client[i]);
		playing += b->client[i].playing;
		stalls += b->client[i].stalls;
		failures += b->client[i].failures;
		got += b->client[i].got;
	}
	fprintf(b->series, "%.3f\t%d\t%d\t%" PRId64 "\t%u\t%u\n", seconds(now - b->start_ns),
		started, playing, got - b->shown_got, stalls, failures);
	b->shown_got = got;
}

static void take_events(struct bench *b, int64_t until_ns)
{
	struct epoll_event ev[256];
	int n = epoll_wait(b->epfd, ev, 256, clock_left_ms(until_ns));
	const int64_t now = clock_ns();

	for (int i = 0; i < n; i++)
		on_event(b, ev[i].data.ptr, ev[i].events, now);
}

/* Every client is visited once in a turn of the wheel, also when we are late. */
static void run(struct bench *b)
{
	int64_t tick_ns = b->start_ns, row_ns = b->start_ns + b->interval_ns;
	int slot = 0;

	while (!stop && clock_ns() < b->start_ns + b->lasts_ns) {
		int64_t now = clock_ns();

		if (now < tick_ns) {
			take_events(b, tick_ns);
			continue;
		}
		if (now - tick_ns > b->late_ns)
			b->late_ns = now - tick_ns;
		for (int i = slot; i < b->count; i += SLOTS)
			visit(b, &b->client[i], now);
		take_events(b, now);
		slot = (slot + 1) % SLOTS;
		tick_ns = tick_ns + VISIT_NS < now ? now : tick_ns + TICK_NS;
		if (now >= row_ns) {
			put_series(b, now);
			row_ns = now + b->interval_ns - (now - row_ns) % b->interval_ns;
		}
	}
}

static void finish(struct bench *b, int64_t now)
{
	put_series(b, now);
	for (int i = 0; i < b->count; i++) {
		struct client *c = &b->client[i];

		play(b, c, now);
		if (begun(c) && !c->playing)
			end_wait(b, c, now);
	}
}

/* --- what is said ----------------------------------------------------------------------------- */

static double rate_of(const struct client *c, int64_t now)
{
	return begun(c) && now > c->began_ns ? (double)c->got / seconds(now - c->began_ns) : 0;
}

static void put_client(FILE *file, const struct bench *b, int i, int64_t now)
{
	const struct client *c = &b->client[i];
	int64_t startup_ns = c->first_play_ns ? c->first_play_ns - c->began_ns : 0;

	fprintf(file, "%d\t%.3f\t%" PRId64 "\t%.4f\t%u\t%.3f\t%.3f\t%u\n", i,
		begun(c) ? seconds(c->began_ns - b->start_ns) : -1.0, c->got,
		rate_of(c, now) * 8 / 1e6, c->stalls, seconds(c->stalled_ns), seconds(startup_ns),
		c->failures);
}

static void put_sums(const struct bench *b, int64_t now)
{
	int served = 0, stalled = 0;
	unsigned int stalls = 0, failures = 0;
	int64_t got = 0;

	for (int i = 0; i < b->count; i++) {
		const struct client *c = &b->client[i];

		served += rate_of(c, now) >= SERVED * (double)b->rate;
		stalled += c->stalls > 0;
		stalls += c->stalls;
		failures += c->failures;
		got += c->got;
	}
	printf("clients\tseconds\tbytes\tmbit\tserved\tstalled\tstalls\tfailures\tcpu_s\tlate_s\n");
	printf("%d\t%.3f\t%" PRId64 "\t%.3f\t%d\t%d\t%u\t%u\t%.3f\t%.3f\n", b->count,
	       seconds(now - b->start_ns), got, (double)got * 8 / 1e6 / seconds(now - b->start_ns),
	       served, stalled, stalls, failures, seconds(clock_cpu_ns()), seconds(b->late_ns));
}

static FILE *create(const struct bench *b, const char *prefix, const char *name,
		    const char *columns)
{
	char path[4096];
	FILE *file;

	if (!prefix)
		return NULL;
	snprintf(path, sizeof(path), "%s%s.tsv", prefix, name);
	file = fopen(path, "we");
	if (!file) {
		fprintf(stderr, "client_bench: %s: %s\n", path, strerror(errno));
		exit(MN_FAILED);
	}
	fprintf(file, "# epoch %lld.%03ld\n%s\n", (long long)b->start.tv_sec,
		b->start.tv_nsec / 1000000, columns);
	return file;
}

static void put_clients(const struct bench *b, const char *prefix, int64_t now)
{
	FILE *file = create(b, prefix, "clients",
			    "client\tbegan\tbytes\tmbit\tstalls\tstalled_s\tstartup_s\tfailures");

	for (int i = 0; file && i < b->count; i++)
		put_client(file, b, i, now);
	if (file)
		fclose(file);
}

/* --- options ---------------------------------------------------------------------------------- */

static int parse_url(struct bench *b, const char *url, struct mn_error *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
	struct listen_address a;
	char host[80], port[8];
	const char *path;
	int err;

	if (strncmp(url, "http://", 7) != 0 || !(path = strchr(url + 7, '/')) ||
	    path - (url + 7) >= (ptrdiff_t)sizeof(host))
		return mn_fail(e, MN_USAGE, EINVAL, "bad URL \"%s\": want http://ADDRESS:PORT/PATH",
			       url);
	snprintf(host, sizeof(host), "%.*s", (int)(path - (url + 7)), url + 7);
	err = parse_address(host, &a, e);
	if (err)
		return err;
	snprintf(port, sizeof(port), "%d", a.port);
	if (getaddrinfo(a.addr, port, &hints, &found))
		return mn_fail(e, MN_USAGE, EINVAL, "bad address \"%s\": want a number", a.addr);
	memcpy(&b->server, found->ai_addr, found->ai_addrlen);
	b->server_size = found->ai_addrlen;
	freeaddrinfo(found);
	b->request_size = (size_t)snprintf(
		b->request, sizeof(b->request),
		"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: client_bench\r\n\r\n", path, host);
	if (b->request_size >= sizeof(b->request))
		return mn_fail(e, MN_USAGE, EINVAL, "the URL is too long");
	return 0;
}

static int parse_option(struct bench *b, int option, const char **prefix, struct mn_error *e)
{
	uint64_t rate;
	int64_t number;
	int err;

	switch (option) {
	case 'n':
		err = parse_number(optarg, "number of clients", 1, CLIENTS_MAX, &number, e);
		b->count = err ? 0 : (int)number;
		return err;
	case 'r':
		err = parse_rate(optarg, &rate, e);
		b->rate = err ? 0 : (int64_t)rate;
		return err;
	case 't': return parse_duration(optarg, &b->lasts_ns, e);
	case 'u': return parse_duration(optarg, &b->ramp_ns, e);
	case 'i':
		err = parse_duration(optarg, &b->interval_ns, e);
		if (!err && b->interval_ns < TICK_NS)
			err = mn_fail(e, MN_USAGE, EINVAL, "bad interval: at least 10ms");
		return err;
	case 'o': *prefix = optarg; return 0;
	default:
		return mn_fail(e, MN_USAGE, EINVAL,
			       "usage: client_bench [-n CLIENTS] [-r RATE] [-t DURATION] [-u RAMP] "
			       "[-i INTERVAL] [-o PREFIX] http://ADDRESS:PORT/PATH");
	}
}

static int parse(struct bench *b, int argc, char **argv, const char **prefix, struct mn_error *e)
{
	int option, err;

	while ((option = getopt(argc, argv, "n:r:t:u:i:o:")) != -1) {
		err = parse_option(b, option, prefix, e);
		if (err)
			return err;
	}
	if (argc - optind != 1)
		return parse_option(b, '?', prefix, e);
	return parse_url(b, argv[optind], e);
}

/* Room for all connections, and the clients, each with the time of its start. */
static int prepare(struct bench *b, struct mn_error *e)
{
	const rlim_t files = (rlim_t)b->count + 64;
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < files) {
		limit.rlim_cur = files;
		limit.rlim_max = limit.rlim_max < files ? files : limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return mn_fail_errno(e, errno, "%d open files (ulimit -n)", (int)files);
	}
	b->client = calloc((size_t)b->count, sizeof(*b->client));
	b->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (!b->client || b->epfd < 0)
		return mn_fail_errno(e, errno, "cannot begin");
	b->start_ns = clock_ns();
	clock_gettime(CLOCK_REALTIME, &b->start);
	for (int i = 0; i < b->count; i++) {
		b->client[i].fd = -1;
		b->client[i].at_ns = b->start_ns + b->ramp_ns / b->count * i;
	}
	return 0;
}

static void say_failure(const struct bench *b)
{
	fputs("client_bench: nothing came: ", stderr);
	if (b->why >= 200)
		fprintf(stderr, "the answer's status was %d (want 200, with a Content-Length)\n",
			b->why);
	else
		fprintf(stderr, "%s\n", strerror(b->why));
}

int main(int argc, char **argv)
{
	struct bench b = {.count = 100,
			  .rate = 250000,
			  .ramp_ns = NS_PER_S,
			  .lasts_ns = 10 * NS_PER_S,
			  .interval_ns = 250 * NS_PER_MS};
	struct mn_error e = MN_ERROR_INIT;
	const char *prefix = NULL;
	int64_t got = 0, end_ns;

	opterr = 0;
	if (parse(&b, argc, argv, &prefix, &e) || prepare(&b, &e)) {
		fprintf(stderr, "client_bench: %s\n", e.text);
		return (int)e.status;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	b.series =
		create(&b, prefix, "series", "seconds\tstarted\tplaying\tbytes\tstalls\tfailures");
	if (b.series)
		setlinebuf(b.series);
	b.stalls = create(&b, prefix, "stalls", "client\tbegan\tseconds");
	run(&b);
	end_ns = clock_ns();
	finish(&b, end_ns);
	put_clients(&b, prefix, end_ns);
	put_sums(&b, end_ns);
	for (int i = 0; i < b.count; i++)
		got += b.client[i].got;
	if (!got)
		say_failure(&b);
	if (prefix)
		fclose(b.series), fclose(b.stalls);
	free(b.client);
	return got ? MN_OK : MN_FAILED;
}
