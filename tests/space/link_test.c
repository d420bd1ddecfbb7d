/* The link between a stream and the controller: its lines, and its sockets in the run-time folder.
 */
#include "space/link.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/scratch.h"
#include "tests/tap.h"

static int parse(const char *text, struct link_request *r)
{
	char line[LINK_LINE_MAX];
	const char *why;

	snprintf(line, sizeof(line), "%s", text);
	return link_parse_request(line, r, &why);
}

static void requests(void)
{
	static const char *const bad[] = {
		"",
		"got",
		"get x",
		"get=1",
		"rate total=1",
		"rate total=-1 lease=1",
		"rate total=1.5 lease=1",
		"rate total=100000000001 lease=1",
		"rate total=99999999999999999999 lease=1",
		"rate total=1 lease=60001",
		"rate total= lease=1",
		"rate total=1 lease=1 speed=1",
		"rate vm1 total=1 lease=1",
		"rate vm1/out vm2/out total=1 lease=1",
		"rate vm1/out client=1 lease=1",
		"rate client=1 vm1/out lease=1",
	};
	struct link_request r, again;
	char line[LINK_LINE_MAX];

	is_int(parse("get", &r), 0, "get");
	is_int(r.verb, LINK_GET, "is that");
	is_int(parse("rate total=1000 client=10 lease=6000", &r), 0, "rate");
	ok(r.verb == LINK_RATE && !r.one && r.total_bps == 1000 && r.client_bps == 10 &&
		   r.lease_ms == 6000,
	   "of all");
	link_format_request(&r, line, sizeof(line));
	is_str(line, "rate total=1000 client=10 lease=6000\n", "and written again");
	is_int(parse("  rate\tvm1/out  lease=5 total=7\r", &r), 0, "rate of a space");
	ok(r.one && strcmp(r.space.vm, "vm1") == 0 && strcmp(r.space.space, "out") == 0 &&
		   r.total_bps == 7,
	   "of that one");
	link_format_request(&r, line, sizeof(line));
	line[strlen(line) - 1] = '\0';
	is_int(parse(line, &again), 0, "and back");
	ok(again.one && again.total_bps == 7 && again.lease_ms == 5, "the same");
	is_int(parse("rate", &r), 0, "no limit wants no lease");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		is_int(parse(bad[i], &r), -EINVAL, "refused: %s", bad[i]);
}

static void answers(void)
{
	const struct link_stream stream = {712, "[::1]:8080", 8080, 5, 6, 7};
	const struct link_space space = {{"vm1", "out"}, 1, 2, 3, 4, 5, 6, 7, 8};
	struct link_stream s;
	struct link_space p;
	char line[LINK_LINE_MAX];

	line[link_format_stream(&stream, line, sizeof(line)) - 1] = '\0';
	is_int(link_parse_answer(line, &s, &p), LINK_STREAM, "a stream's line");
	ok(s.pid == 712 && s.port == 8080 && s.rate_bps == 5 && s.client_bps == 6 &&
		   s.lease_ms == 7,
	   "says the same");
	is_str(s.listen, "[::1]:8080", "and where");
	line[link_format_space(&space, line, sizeof(line)) - 1] = '\0';
	is_int(link_parse_answer(line, &s, &p), LINK_SPACE, "a space's line");
	ok(p.sent_bytes == 1 && p.released_bytes == 2 && p.stalls == 3 && p.clients == 4 &&
		   p.edge == 5 && p.rtsp == 6 && p.backlog_bytes == 7 && p.rate_bps == 8,
	   "says the same");
	is_int(link_parse_answer(strcpy(line, "end"), &s, &p), LINK_END, "the end");
	is_int(link_parse_answer(strcpy(line, "error no"), &s, &p), LINK_ERROR, "an error");
	is_int(link_parse_answer(strcpy(line, "space name=../x sent=1"), &s, &p), LINK_OTHER,
	       "no name of a space");
	is_int(link_parse_answer(strcpy(line, "space name=a/b sent=-1 new=2"), &s, &p), LINK_SPACE,
	       "numbers and words that are not understood are passed over");
	is_int((long)p.sent_bytes, 0, "and do nothing");
	is_int(link_parse_answer(strcpy(line, ""), &s, &p), LINK_OTHER, "nothing");
}

/* What a process leaves that listened and is dead: the socket's name. */
static void leave_stale(int folderfd, char name[LINK_NAME_MAX])
{
	pid_t pid = fork();

	if (pid == 0) {
		link_listen(folderfd, name);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	snprintf(name, LINK_NAME_MAX, "%d.sock", (int)pid);
}

static void sockets(void)
{
	char runtime[400], name[LINK_NAME_MAX], other[LINK_NAME_MAX], stale[LINK_NAME_MAX];
	int folderfd, fd, second, client;
	struct stat st;

	close(scratch_open());
	/* Longer than a socket's address. */
	snprintf(runtime, sizeof(runtime), "%s/%0120d", scratch_path, 1);
	is_int(link_folder(runtime, false), -ENOENT, "no folder is made where none is asked for");
	folderfd = link_folder(runtime, true);
	ok(folderfd >= 0, "the folder is made");
	fstat(folderfd, &st);
	is_int(st.st_mode & 0777, 0700, "for nobody else");
	leave_stale(folderfd, stale);
	is_int(faccessat(folderfd, stale, F_OK, 0), 0, "a dead stream's socket");
	is_int(link_connect(folderfd, stale), -ECONNREFUSED, "nobody listens there");
	scratch_file(folderfd, "note", "x", 1);
	fd = link_listen(folderfd, name);
	ok(fd >= 0 && link_name_valid(name), "a socket, %s", name);
	ok(faccessat(folderfd, stale, F_OK, 0) < 0 && errno == ENOENT,
	   "what a dead stream left is removed");
	fstatat(folderfd, name, &st, 0);
	is_int(st.st_mode & 0777, 0600, "for nobody else");
	second = link_listen(folderfd, other);
	ok(second >= 0 && link_name_valid(other) && strcmp(name, other) != 0, "and another, %s",
	   other);
	client = link_connect(folderfd, name);
	ok(client >= 0, "which can be reached");
	is_int(faccessat(folderfd, "note", F_OK, 0), 0, "other files are let be");
	ok(!link_name_valid("note") && !link_name_valid(".sock") && !link_name_valid("-1.sock") &&
		   !link_name_valid("1.sock.x") && !link_name_valid("1/2.sock"),
	   "and are no streams");
	close(client);
	close(second);
	close(fd);
	close(folderfd);
}

int main(void)
{
	requests();
	answers();
	sockets();
	return done_testing();
}
