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
#include <sys/xattr.h>
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
static void (*after_batch)(struct loop *loop);
static uint64_t answered, most_answered; /* in a turn */

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
	after_batch(loop);
	if (responses() - answered > most_answered)
		most_answered = responses() - answered;
	answered = responses();
	if (loop->fetched == 0 && !loop->again)
		usleep(200);
	loop_again(loop);
	loop_stop(loop);
}

static void turn(void)
{
	w->loop.stopped = false;
	loop_run(&w->loop);
}

/* Some turns: whatever has come is dealt with. */
static void turns(void)
{
	for (int i = 0; i < 4; i++)
		turn();
}

/* Turns until that is so; false: it was not in a time that is long even on a busy machine. */
static bool until(bool (*what)(void))
{
	const time_t late = time(NULL) + 20;

	while (!what() && time(NULL) < late)
		turn();
	return what();
}

static bool all_gone(void)
{
	return w->conn_count == 0;
}

static int listen_anywhere(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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
	answered = most_answered = 0;
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
static char got[2 << 20];
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

static int queued(void)
{
	int n = 0;

	ioctl(only_conn()->watch.fd, SIOCOUTQ, &n);
	return n;
}

static bool connected(void)
{
	return w->conn_count == 1;
}

/* The same, and how much the server's TCP takes of a response. */
static int connect_between(int room, int sending)
{
	const int fd = connect_with(room);

	until(connected);
	setsockopt(only_conn()->watch.fd, SOL_SOCKET, SO_SNDBUFFORCE, &sending, sizeof(sending));
	return fd;
}

/* The client takes what comes, and the server has no more for it. */
static bool drained(void)
{
	take();
	got_size = 0;
	return all_gone() || (only_conn()->state != CONN_SEND && queued() == 0);
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

/* ---- turns ---- */

static bool answered_all(void)
{
	take();
	got_size = 0; /* it is only counted */
	return responses() == 1000;
}

/* Whoever asks for much at once takes turns with the others. */
static void test_pipelining(void)
{
	static const char request[] = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
	static char requests[1000 * sizeof(request)];
	size_t size = 0;

	serve(&plain, false);
	client = connect_with(0);
	for (int i = 0; i < 1000; i++)
		size += (size_t)sprintf(requests + size, request);
	send(client, requests, size, MSG_NOSIGNAL);
	most_answered = 0;
	ok(until(answered_all), "pipelined requests are all answered");
	ok(most_answered <= 64, "a few in each turn: %" PRIu64 " at most", most_answered);
	close(client);
	end();
}

static bool both_and_gone(void)
{
	return responses() == 2 && all_gone();
}

static void test_half_close(void)
{
	serve(&plain, false);
	object_of("x", 100);
	client = connect_with(0);
	ask(client, "HEAD", "x", "");
	ask(client, "HEAD", "x", "");
	shutdown(client, SHUT_WR);
	until(both_and_gone);
	ok(all_gone(), "who will send no more is let go after the last answer");
	is_int(responses(), 2, "and had both");
	close(client);
	end();
}

/* A stop does not wait for clients that could ask again. */
static void test_drain(void)
{
	serve(&plain, false);
	object_of("x", 4000000);
	client = connect_with(16384);
	ask(client, "GET", "x", "");
	turns();
	atomic_store(&server.stopping, true);
	loop_wake(&w->loop);
	turns();
	is_int(w->conn_count, 1, "a stop waits for a response under way");
	got_size = 0;
	until(drained);
	ok(all_gone(), "and for nothing after it");
	is_int(w->counters.aborted, 0, "it was whole");
	close(client);
	end();
}

/* ---- clients that take nothing, or little ---- */

/* Moves the clock in steps, as timers only set each other so; true once nobody is left. */
static bool gone_within(int64_t seconds)
{
	for (int64_t s = 0; s < seconds && !all_gone(); s += 2) {
		later(2 * NS_PER_S);
		turns();
	}
	return all_gone();
}

static void test_stall_under_rate(void)
{
	const struct server_options options = {.client_rate = 100000};

	serve(&options, false);
	object_of("x", 8000000);
	client = connect_with(16384);
	ask(client, "GET", "x", "");
	for (int i = 0; i < 300; i++) {
		later(20 * NS_PER_MS);
		turns();
	}
	is_int(w->conn_count, 1, "a client that reads nothing");
	ok(gone_within(150), "is given up under a rate, too");
	is_int(w->counters.stalls, 1, "as stalled");
	close(client);
	end();
}

static void test_stall_at_end(void)
{
	serve(&delivered, false);
	object_of("l", 100000);
	scratch_file(root, ".memnet/live/l", "\n", 1);
	client = connect_with(4096);
	ask(client, "GET", "l", "");
	turns();
	is_int(only_conn()->deadline_ns, INT64_MAX, "at a live object's edge a client may wait");
	unlinkat(root, ".memnet/live/l", 0);
	later(NS_PER_S);
	turns();
	is_int(only_conn()->state, CONN_ACK, "it has ended, and the client has not read it");
	ok(gone_within(150), "which is given up");
	ok(faccessat(root, "l", F_OK, 0) == 0, "the object is still there");
	close(client);
	end();
}

static int queued_before;

static bool drank_some(void)
{
	char sip[2048];

	recv(client, sip, sizeof(sip), MSG_DONTWAIT);
	return queued() <= queued_before - 6000;
}

/* Too slow for the socket to take anything in a minute, but steady. */
static void drink_slowly(const char *what)
{
	for (int i = 0; i < 3 && !all_gone(); i++) {
		queued_before = queued();
		until(drank_some);
		later(25 * NS_PER_S);
		turns();
	}
	is_int(w->conn_count, 1, "who takes a little all the time is not given up, %s", what);
}

static void test_slow_reader(void)
{
	serve(&delivered, false);
	object_of("x", 4000000);
	client = connect_between(4096, 400000);
	ask(client, "GET", "x", "");
	turns();
	is_int(only_conn()->state, CONN_SEND, "a response of which the socket takes a part");
	drink_slowly("while it is sent");
	ok(!all_gone() && !only_conn()->writable, "and the socket took nothing meanwhile");
	ok(gone_within(150), "who then stops is");
	close(client);
	object_of("y", 200000);
	client = connect_between(4096, 400000);
	ask(client, "GET", "y", "");
	turns();
	is_int(only_conn()->state, CONN_ACK, "a response that the socket takes whole");
	drink_slowly("when all is sent");
	got_size = 0;
	until(drained);
	later(NS_PER_S);
	turns();
	ok(faccessat(root, "y", F_OK, 0) < 0, "and the object is released in the end");
	close(client);
	end();
}

/* One byte now and then is no progress: such clients come by the thousand. */
static void test_trickle(void)
{
	char sip;

	serve(&plain, false);
	object_of("x", 8000000);
	client = connect_with(4096);
	ask(client, "GET", "x", "");
	turns();
	for (int i = 0; i < 100 && !all_gone(); i++) {
		recv(client, &sip, 1, MSG_DONTWAIT);
		later(2 * NS_PER_S);
		turns();
	}
	ok(all_gone(), "who takes next to nothing is given up");
	close(client);
	end();
}

/* ---- delivered ---- */

static void test_close_when_delivered(void)
{
	serve(&delivered, true);
	object_of("x", 200000);
	client = connect_between(4096, 400000);
	ask(client, "GET", "x", "Connection: close\r\n");
	turns();
	is_int(only_conn()->state, CONN_ACK, "all is sent, and not acknowledged");
	ok(drink(client) > 200000, "the client reads it all");
	close(client);
	until(all_gone);
	ok(all_gone(), "and is gone");
	is_int(w->counters.aborted, 0, "that is no response broken off");
	ok(faccessat(root, "x", F_OK, 0) < 0, "the object is released");
	end();
}

static void test_ttl_waits_for_nobody(void)
{
	const struct server_options ttl = {.release = RELEASE_TTL, .ttl_ns = NS_PER_S};

	serve(&ttl, false);
	object_of("x", 200000);
	client = connect_between(4096, 400000);
	ask(client, "GET", "x", "");
	turns();
	is_int(only_conn()->state, CONN_HEAD, "with ttl nobody waits for acknowledgements");
	ok(list_empty(&w->acking), "nor asks for them");
	close(client);
	end();
}

/* Of an object that is given back while it is read: parts may go back. */
static void test_parts_are_kept(void)
{
	static const char ranges[] = "Range: bytes=900000-999999,200000-399999\r\n";
	char *body;
	int fd, other, wrong = 0;

	serve(&delivered, false);
	object_of("x", 1000000);
	fd = openat(root, "x", O_RDWR | O_CLOEXEC);
	fsetxattr(fd, RELEASE_MARK, "", 0, 0);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 65536) < 0) {
		skip(4, "no holes can be punched here");
		close(fd);
		end();
		return;
	}
	client = connect_between(4096, 20000);
	ask(client, "GET", "x", ranges);
	turns();
	is_int(only_conn()->state, CONN_SEND, "a client has a part of the last bytes");
	other = client;
	is_int(get(connect_with(0), "GET", "x", "Range: bytes=65536-\r\n"), 206,
	       "another one gets them all");
	for (int i = 0; i < 10; i++) {
		later(5 * NS_PER_MS);
		turns();
	}
	close(client);
	turns();
	client = other;
	got_size = 0;
	is_int(until(whole_answer), true, "the first one gets its parts");
	body = memmem(got, got_size, "Content-Range: bytes 200000-", 28);
	body = body ? strstr(body, "\r\n\r\n") : NULL;
	for (int i = 0; body && i < 200000; i++)
		wrong += body[4 + i] != (char)('a' + (200000 + i) / 1000 % 26);
	ok(body && wrong == 0, "of which nothing was given back before");
	close(other);
	close(fd);
	end();
}

/* Writes until the space is full; the bytes. */
static int64_t fill(int fd)
{
	static const char data[65536];
	int64_t sum = 0;
	ssize_t n;

	while ((n = write(fd, data, sizeof(data))) > 0)
		sum += n;
	return sum;
}

static int64_t written;

static bool all_delivered(void)
{
	take();
	got_size = 0;
	return w->conn_count == 1 && only_conn()->at == written && queued() == 0;
}

/* A guest blocked on a full space goes on soon after what fills it has been delivered. */
static void test_full_space(void)
{
	int fd, ms;

	serve(&delivered, false);
	if (mount("memnet-test", scratch_path, "tmpfs", 0, "size=4m") < 0) {
		skip(6, "cannot mount here");
		end();
		return;
	}
	close(root);
	root = open(scratch_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(root, ".memnet", 0700);
	mkdirat(root, ".memnet/live", 0700);
	scratch_file(root, ".memnet/live/l", "\n", 1);
	fd = openat(root, "l", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	written = fill(fd);
	client = connect_with(0);
	ask(client, "GET", "l", "");
	for (int i = 0; i < 3; i++) {
		int64_t more = 0;

		ok(until(all_delivered), "a full space is delivered: %" PRId64 " bytes by now",
		   written);
		for (ms = 0; ms < 10 && more == 0; ms++) {
			later(NS_PER_MS);
			turns();
			more = fill(fd);
		}
		written += more;
		ok(more > 0, "and its writer goes on: after %d ms", ms);
	}
	close(client);
	close(fd);
	end();
	umount2(scratch_path, MNT_DETACH);
}

/* ---- what is refused unread ---- */

static bool answered_one(void)
{
	return responses() == 1;
}

static void test_refused_unread(void)
{
	char log[4096] = "";
	int fd;

	serve(&plain, true);
	object_of("x", 100);
	fd = connect_with(0);
	ask(fd, "HEAD", "x", "User-Agent: first\r\n");
	ok(until(answered_one), "somebody's HEAD");
	close(fd);
	until(all_gone);
	client = connect_with(0);
	got_size = 0;
	memset(got, 'a', HTTP_HEAD_MAX);
	send(client, got, HTTP_HEAD_MAX, MSG_NOSIGNAL);
	until(whole_answer);
	ok(strncmp(got, "HTTP/1.1 414 ", 13) == 0, "somebody else's endless line");
	ok(strstr(got, "\r\n\r\n414 "), "is refused with a body");
	close(client);
	until(all_gone);
	client = connect_with(0);
	got_size = 0;
	send(client, "GET /", 5, MSG_NOSIGNAL);
	turns();
	later(31 * NS_PER_S);
	until(whole_answer);
	ok(strncmp(got, "HTTP/1.1 408 ", 13) == 0, "and one that does not come to its end");
	close(client);
	until(all_gone);
	logged(log, sizeof(log));
	ok(strstr(log, "\"\" 414 ") && strstr(log, "\"\" 408 "), "both are logged");
	ok(!strstr(strchr(log, '\n'), "first"), "not as another's");
	is_int(w->counters.stalls, 0, "none is counted as stalled");
	end();
}

/* ---- lists ---- */

static void test_lists(void)
{
	const struct server_options options = {.listing = true};
	char name[256];
	int folder, slow;

	serve(&options, false);
	mkdirat(root, "d", 0700);
	folder = openat(root, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(name, '"', sizeof(name));
	for (int i = 0; i < 1000; i++) {
		snprintf(name + 246, sizeof(name) - 246, "%d", i);
		scratch_file(folder, name, "", 0);
	}
	slow = connect_between(4096, 20000);
	ask(slow, "GET", "d/", "");
	turns();
	ok(w->saved > LISTING_BYTES / 2 && w->saved < LISTING_BYTES + 8192,
	   "a list is bounded: %" PRId64 " bytes wait", w->saved);
	close(slow);
	until(all_gone);
	is_int(w->saved, 0, "and are gone with its client");
	w->saved = LISTINGS_SAVED_MAX + 1;
	is_int(get(connect_with(0), "GET", "d/", ""), 503, "too many of them: come again");
	close(client);
	w->saved = 0;
	is_int(get(connect_with(0), "GET", "d/", ""), 200, "and it is there");
	ok(strstr(got, "There are more"), "cut, which it says");
	close(client);
	is_int(get(connect_with(0), "GET", "d/", "Accept: application/json\r\n"), 200,
	       "in JSON, too");
	ok(strstr(got, "\"more\":false"), "where it is shorter, and whole");
	close(client);
	close(folder);
	end();
}

int main(void)
{
	test_long_lines(false);
	test_long_lines(true);
	test_pipelining();
	test_half_close();
	test_drain();
	test_stall_under_rate();
	test_stall_at_end();
	test_slow_reader();
	test_trickle();
	test_close_when_delivered();
	test_ttl_waits_for_nobody();
	test_parts_are_kept();
	test_full_space();
	test_refused_unread();
	test_lists();
	return done_testing();
}
