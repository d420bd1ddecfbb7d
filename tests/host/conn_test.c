/* Connections: what is logged of them, whose turn it is, what they are refused and what they may
 * keep. */
#include "host/conn.h"

#include "host/listing.h"
#include "tests/host/one_worker.h"

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
	arrive(client);
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

/* Who is refused may go on sending: no turn reads all that. */
static void test_flood(void)
{
	const int room = 4 << 20;
	static char flood[1 << 20];
	int left = 0;

	serve(&plain, false);
	client = connect_with(0);
	is_int(send(client, "no request\r\n\r\n", 14, 0), 14, "what is no request");
	arrive(client);
	until(connected);
	turns();
	is_int(only_conn()->state, CONN_LINGER, "is refused");
	setsockopt(only_conn()->watch.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	while (send(client, flood, sizeof(flood), MSG_DONTWAIT) > 0)
		;
	turn();
	ioctl(only_conn()->watch.fd, FIONREAD, &left);
	ok(left > 0, "a turn leaves %d B of it", left);
	close(client);
	ok(until(all_gone), "and others have their turn");
	end();
}

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
	test_refused_unread();
	test_flood();
	test_lists();
	return done_testing();
}
