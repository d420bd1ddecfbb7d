/* The guest agent's files and commands, with an agent that answers what no agent should. */
#include "qmp/agent.h"

#include <errno.h>

#include "base/clock.h"
#include "tests/qmp/server.h"
#include "tests/tap.h"

#define OPENED	      READY "< guest-file-open\n"
#define READ_CLOSE(s) "< guest-file-read\n= {\"buf-b64\":\"" s "\"}\n< guest-file-close\n= {}\n"
#define RAN(status)   READY "< guest-exec\n= {\"pid\":7}\n< guest-exec-status\n= " status "\n"

static void read_file(const char *name, const char *script, int want, const char *text)
{
	struct mn_error e = MN_ERROR_INIT;
	struct server s;
	struct qmp *q;
	char buf[16] = "";

	server_connect(&s, script, 20 * NS_PER_S, &q, &e);
	is_int(agent_read_file(q, "/x", buf, sizeof(buf), &e), want, "%s", name);
	if (want >= 0)
		is_str(buf, text, "%s: what it holds", name);
	else
		ok(strstr(e.text, text) != NULL, "%s: says %s (%s)", name, text, e.text);
	qmp_close(q);
	is_int(server_end(&s), 0, "%s: asked as it should", name);
}

static void run(const char *name, const char *script, int want, const char *text)
{
	static const char *const words[] = {"modprobe", "9p", NULL};
	struct mn_error e = MN_ERROR_INIT;
	struct server s;
	struct qmp *q;
	char said[64] = "";

	server_connect(&s, script, 20 * NS_PER_S, &q, &e);
	is_int(agent_run(q, words, said, sizeof(said), &e), want, "%s", name);
	is_str(said, text, "%s: its words", name);
	qmp_close(q);
	server_end(&s);
}

int main(void)
{
	static const char no_number[] = "handle is no number";

	read_file("a file", OPENED "= 1000\n" READ_CLOSE("aGVsbG8="), 5, "hello");
	read_file("one too long", OPENED "= 0\n" READ_CLOSE("aGVsbG8gaGVsbG8gaGVsbG8="), 15,
		  "hello hello hel");
	read_file("a handle beyond all numbers", OPENED "= 1e300\n", -EPROTO, no_number);
	read_file("one below none", OPENED "= -1\n", -EPROTO, no_number);
	read_file("half a handle", OPENED "= 1.5\n", -EPROTO, no_number);
	read_file("a handle in words", OPENED "= \"7\"\n", -EPROTO, no_number);

	run("done", RAN("{\"exited\":true,\"exitcode\":0}"), 0, "");
	run("killed", RAN("{\"exited\":true,\"signal\":9}"), 137, "");
	run("an exit code of no process", RAN("{\"exited\":true,\"exitcode\":1e300}"), 1, "");
	/* "a", the C1 control 0xc2 0x9b, "2J", a line feed, "b" */
	run("words for a terminal to carry out",
	    RAN("{\"exited\":true,\"exitcode\":1,\"err-data\":\"YcKbMkoKYg==\"}"), 1, "a  2J b");
	return done_testing();
}
