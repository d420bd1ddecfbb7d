/*
 * What a client's TCP takes of an object, and acknowledges: who is given up, and what is released
 * when.
 */
#include "host/pacer.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include "tests/host/one_worker.h"

static const struct server_options delivered = {.release = RELEASE_DELIVERED};

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
	ok(queued() > 0 && queued() < 80000, "of the 600 kB due to it, %d B wait in TCP", queued());
	ok(gone_within(150), "it is given up under a rate, too");
	is_int(w->counters.stalls, 1, "as stalled");
	close(client);
	end();
}

/* For a second of a rate that was lent, say. */
static void test_rate_lifted(void)
{
	const struct server_options options = {.client_rate = 100000};
	int locked = 0;
	socklen_t size = sizeof(locked);

	serve(&options, false);
	object_of("x", 8000000);
	client = connect_with(16384);
	ask(client, "GET", "x", "");
	turns();
	getsockopt(only_conn()->watch.fd, SOL_SOCKET, SO_BUF_LOCK, &locked, &size);
	ok(locked, "under a slow rate a socket's buffer has a size");
	atomic_store(&server.limits.client.bps, 0);
	later(NS_PER_S);
	turns();
	getsockopt(only_conn()->watch.fd, SOL_SOCKET, SO_BUF_LOCK, &locked, &size);
	is_int(locked, 0, "which grows again when that is lifted");
	close(client);
	ok(until(all_gone), "the client has gone");
	end();
}

/* An answer fills its TCP, and a request begins; true: what that is refused with waits in the
 * server. */
static bool begin_request(size_t size)
{
	const int little = 2048;

	serve(&plain, false);
	object_of("x", size);
	client = connect_between(4096, 100000);
	ask(client, "GET", "x", "");
	turns();
	setsockopt(only_conn()->watch.fd, SOL_SOCKET, SO_SNDBUFFORCE, &little, sizeof(little));
	send(client, "G", 1, 0);
	arrive(client);
	turns();
	later(31 * NS_PER_S);
	turns();
	return only_conn()->out != NULL;
}

/* Of some sizes the last packet has no room for more. */
static void test_stall_with_a_request(void)
{
	size_t size = 19000;

	while (!begin_request(size) && size < 22000) {
		close(client);
		end();
		size += 97;
	}
	is_int(only_conn()->state, CONN_SEND, "the word that a request took too long waits");
	ok(gone_within(150), "who does not read that is given up, too");
	close(client);
	end();
}

static void test_stall_at_end(void)
{
	serve(&delivered, false);
	object_of("l", 100000);
	scratch_file(root, ".memnet/live/l", "\n", 1);
	client = connect_between(4096, 200000); /* all of it waits in the server's TCP */
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

/* Nothing tells of acknowledgements but the clock, which does not go on, and the client's end. */
static bool acknowledged(void)
{
	take();
	return queued() == 0;
}

/* What its TCP has not been given is not delivered, whatever it acknowledged of the rest. */
static void test_dies_with_a_part(void)
{
	const struct linger hard = {.l_onoff = 1};
	const time_t late = time(NULL) + 20;

	serve(&delivered, false);
	object_of("x", 12000);
	client = connect_between(4096, 2048);
	got_size = 0;
	ask(client, "GET", "x", "");
	turns();
	ok(only_conn()->out != NULL, "a part of a small object waits in the server");
	while (!acknowledged() && time(NULL) < late)
		usleep(1000);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(client);
	ok(until(all_gone), "the client dies with the other one");
	ok(faccessat(root, "x", F_OK, 0) == 0, "the object is still there");
	end();
}

static void test_close_when_delivered(void)
{
	serve(&delivered, false);
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
	object_of("y", 200000);
	client = connect_between(4096, 400000);
	ask(client, "GET", "y", "Connection: close\r\n");
	shutdown(client, SHUT_WR);
	turns();
	is_int(w->conn_count, 1, "who closes its side first may still be reading");
	ok(drink(client) > 200000, "reads it all");
	later(NS_PER_S);
	until(all_gone);
	is_int(w->counters.aborted, 0, "and had it");
	ok(faccessat(root, "y", F_OK, 0) < 0, "which is released, too");
	close(client);
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
int main(void)
{
	test_stall_under_rate();
	test_rate_lifted();
	test_stall_with_a_request();
	test_stall_at_end();
	test_slow_reader();
	test_trickle();
	test_dies_with_a_part();
	test_close_when_delivered();
	test_ttl_waits_for_nobody();
	test_parts_are_kept();
	test_full_space();
	return done_testing();
}
