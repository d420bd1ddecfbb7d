/* The QMP client against a monitor that plays scripts: what QEMU does, and what nobody should. */
#include <errno.h>
#include <sys/un.h>

#include "base/clock.h"
#include "qmp/qmp.h"
#include "tests/qmp/server.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#define SECOND NS_PER_S
#define SHORT  (200 * NS_PER_MS)

/* One call of query-status against `script`. What qmp_call() or qmp_start() returned. */
static int call_once(const char *script, int64_t wait_ns, struct mn_error *e, char state[64])
{
	struct server s;
	struct qmp *q;
	cJSON *reply = NULL;
	const char *text;
	int err = server_connect(&s, script, wait_ns, &q, e);

	if (!err)
		err = qmp_call(q, "query-status", NULL, &reply, e);
	text = json_string(reply, "status");
	snprintf(state, 64, "%s", text ? text : "");
	cJSON_Delete(reply);
	qmp_close(q);
	if (server_end(&s) != 0)
		return -ENOTRECOVERABLE;
	return err;
}

static void expect(const char *name, const char *script, int want, enum mn_status status,
		   const char *words)
{
	struct mn_error e = MN_ERROR_INIT;
	char state[64];
	int err = call_once(script, want == -ETIMEDOUT ? SHORT : 20 * SECOND, &e, state);

	is_int(err, want, "%s", name);
	if (!want) {
		is_str(state, "running", "%s: the answer arrives", name);
		return;
	}
	is_int(e.status, status, "%s: exit status", name);
	if (!ok(strstr(e.text, words) != NULL, "%s: says \"%s\"", name, words))
		diag("%s", e.text);
}

#define ANSWER "< query-status\n= {\"status\":\"running\"}\n"

static void test_answers(void)
{
	expect("a plain answer", READY ANSWER, 0, 0, "");
	expect("events before the answer",
	       READY "< query-status\n> {\"event\":\"STOP\"}\n> {\"event\":\"RESUME\"}\n"
		     "= {\"status\":\"running\"}\n",
	       0, 0, "");
	expect("somebody else's answer first",
	       READY "< query-status\n> {\"return\":{\"status\":\"no\"},\"id\":\"other\"}\n"
		     "> {\"return\":{\"status\":\"no\"}}\n= {\"status\":\"running\"}\n",
	       0, 0, "");
	expect("garbage in between",
	       READY "< query-status\n> \n> not json\n> [1,2]\n> 7\n> {\"a\":\n> {}\n"
		     "> {\"return\":{}}}\n= {\"status\":\"running\"}\n",
	       0, 0, "");
	expect("an answer of 5 MB", READY "< query-status\n# 5000000\n= {\"status\":\"running\"}\n",
	       0, 0, "");
	expect("an event before the greeting",
	       "> {\"event\":\"X\"}\n" READY "< query-status\n= {\"status\":\"running\"}\n", 0, 0,
	       "");
}

static void test_failures(void)
{
	expect("no greeting", "hang\n", -ETIMEDOUT, MN_TIMEOUT, "does not greet");
	expect("an end before the greeting", "", -EPIPE, MN_FAILED, "closed the connection");
	expect("no answer to capabilities", GREETING "hang\n", -ETIMEDOUT, MN_TIMEOUT,
	       "does not answer");
	expect("no answer", READY "< query-status\nhang\n", -ETIMEDOUT, MN_TIMEOUT,
	       "does not answer");
	expect("an end instead of an answer", READY "< query-status\n", -EPIPE, MN_FAILED,
	       "closed the connection");
	expect("an end after garbage", READY "< query-status\n> 7\n", -EPIPE, MN_FAILED,
	       "closed the connection");
	expect("a refusal", READY "< query-status\n! GenericError no, \\u0007never\\n\n",
	       -EREMOTEIO, MN_FAILED, "refused query-status: no,  never");
	expect("a refusal for a terminal to carry out",
	       READY "< query-status\n! GenericError a\\u009b2Jb\n", -EREMOTEIO, MN_FAILED,
	       "refused query-status: a  2Jb");
	expect("an error that is no object",
	       READY "< query-status\n> {\"error\":7,\"id\":\"memnet-2\"}\n", -EREMOTEIO, MN_FAILED,
	       "no reason given");
	expect("more than anybody should send", READY "< query-status\n# 9000000\nhang\n",
	       -EMSGSIZE, MN_FAILED, "more than 8 MB");
}

/* Events that arrive during a call are there afterwards, in order, and then new ones. */
static void test_events(void)
{
	struct server s;
	struct qmp *q;
	struct mn_error e = MN_ERROR_INIT;
	cJSON *event;
	const char *const names[] = {"A", "B", "C"};

	server_connect(&s,
		       READY "< query-status\n> {\"event\":\"A\"}\n> {\"event\":\"B\"}\n= {}\n"
			     "> {\"event\":\"C\"}\nhang\n",
		       20 * SECOND, &q, &e);
	is_int(qmp_call(q, "query-status", NULL, NULL, &e), 0, "a call among events");
	for (int i = 0; i < 3; i++) {
		is_int(qmp_event(q, clock_ns() + 20 * SECOND, &event, &e), 0, "event %d", i);
		is_str(json_string(event, "event"), names[i], "event %d is %s", i, names[i]);
		cJSON_Delete(event);
	}
	is_int(qmp_event(q, clock_ns() + SHORT, &event, &e), -ETIMEDOUT, "and no more");
	is_int(e.status, MN_OK, "which is no failure");
	qmp_close(q);
	server_end(&s);
}

/* However many come, only the newest are kept. */
static void test_event_flood(void)
{
	static char script[64 * 1024];
	struct server s;
	struct qmp *q;
	cJSON *event;
	int n = 0;
	char *to = stpcpy(script, READY "< query-status\n");

	for (int i = 0; i < 1000; i++)
		to += sprintf(to, "> {\"event\":\"E%d\"}\n", i);
	strcpy(to, "= {}\nhang\n");
	server_connect(&s, script, 20 * SECOND, &q, NULL);
	qmp_call(q, "query-status", NULL, NULL, NULL);
	while (qmp_event(q, clock_ns(), &event, NULL) == 0) {
		if (n++ == 0)
			is_str(json_string(event, "event"), "E744", "the oldest are dropped");
		cJSON_Delete(event);
	}
	is_int(n, QMP_EVENTS_MAX, "no more than QMP_EVENTS_MAX are kept");
	qmp_close(q);
	server_end(&s);
}

/* An event is a few hundred bytes: what is much more is no reason to keep it. */
static void test_large_event(void)
{
	static char script[2 * QMP_EVENT_BYTES_MAX];
	struct server s;
	struct qmp *q;
	cJSON *event;

	snprintf(script, sizeof(script),
		 READY "< query-status\n> {\"event\":\"LARGE\",\"data\":\"%0*d\"}\n"
		       "> {\"event\":\"SMALL\"}\n= {}\nhang\n",
		 QMP_EVENT_BYTES_MAX, 0);
	server_connect(&s, script, 20 * SECOND, &q, NULL);
	qmp_call(q, "query-status", NULL, NULL, NULL);
	is_int(qmp_event(q, clock_ns() + SECOND, &event, NULL), 0, "an event among large ones");
	is_str(json_string(event, "event"), "SMALL", "a large one is not kept");
	cJSON_Delete(event);
	qmp_close(q);
	server_end(&s);
}

/* The connection breaks after each byte there is: always an error, never a wrong answer. */
static void test_broken_anywhere(void)
{
	const char *script =
		READY "< query-status\n> {\"event\":\"A\"}\n= {\"status\":\"running\"}\n";
	long bytes = 0;
	int wrong = 0, err = -1;
	char state[64];

	while (err && bytes < 400) {
		struct mn_error e = MN_ERROR_INIT;

		server_budget = bytes++;
		err = call_once(script, 20 * SECOND, &e, state);
		wrong += err ? err != -EPIPE || e.status != MN_FAILED
			     : strcmp(state, "running") != 0;
	}
	server_budget = -1;
	is_int(wrong, 0, "broken after each of %ld bytes: an error until the answer is whole",
	       bytes);
	is_int(err, 0, "and then the answer");
}

/* A process per call: what it prints is the answer, in as many lines as it likes. */
static void test_exec(void)
{
	static const char script[] =
		"#!/bin/sh\n"
		"case $2 in\n"
		"*query-status*) printf '{\"return\":\\n {\"status\":\\n\"ok\"},"
		"\"id\":\"libvirt-7\"}\\n' ;;\n"
		"*refuse*) echo '{\"error\":{\"class\":\"X\",\"desc\":\"$1\"}}' ;;\n"
		"*hang*) exec sleep 100 ;;\n"
		"*) echo 'error: no such domain' >&2; exit 1 ;;\n"
		"esac\n";
	int dir = scratch_open();
	char address[400];
	struct qmp *q;
	struct mn_error e = MN_ERROR_INIT;
	cJSON *reply = NULL, *event;

	scratch_file(dir, "virsh", script, sizeof(script) - 1);
	close(dir);
	snprintf(address, sizeof(address), "exec:sh %s/virsh a$b;c", scratch_path);
	is_int(qmp_open(address, clock_ns() + 20 * SECOND, &q, &e), 0, "exec: opens");
	ok(!qmp_has_events(q), "exec: has no events");
	is_int(qmp_call(q, "query-status", NULL, &reply, &e), 0, "exec: answers");
	is_str(json_string(reply, "status"), "ok", "exec: lines and ids do not matter");
	cJSON_Delete(reply);
	is_int(qmp_call(q, "refuse", NULL, NULL, &e), -EREMOTEIO, "exec: refuses");
	is_str(qmp_refusal(q), "$1", "exec: no shell in between");
	is_int(qmp_call(q, "nothing", NULL, NULL, &e), -EPIPE, "exec: no answer");
	ok(strstr(e.text, "error: no such domain") != NULL, "exec: its own words: %s", e.text);
	is_int(qmp_event(q, clock_ns() + SECOND, &event, &e), -ETIMEDOUT,
	       "exec: no event, at once");
	qmp_set_deadline(q, clock_ns() + SHORT);
	is_int(qmp_call(q, "hang", NULL, NULL, &e), -ETIMEDOUT, "exec: a deadline");
	qmp_close(q);
	is_int(qmp_open("exec: ", clock_ns(), &q, &e), -EINVAL, "exec: of nothing");
	is_int(qmp_open("exec:/nonexistent/x", clock_ns() + 20 * SECOND, &q, &e), 0,
	       "exec: opens late");
	is_int(qmp_call(q, "x", NULL, NULL, &e), -ENOENT, "exec: no such program");
	is_str(e.text,
	       "the monitor's command /nonexistent/x cannot be run: No such file or directory",
	       "exec: which one");
	qmp_close(q);
}

/* Not through a shell, which may take its signals back by itself. */
static void test_exec_signals(void)
{
	struct mn_error e = MN_ERROR_INIT;
	cJSON *reply = NULL;
	struct qmp *q;
	sigset_t all;

	sigfillset(&all);
	is_int(qmp_open("exec:sed -n s/^SigBlk:[^0-9a-f]*\\(.*\\)/{\"return\":\"\\1\"}/p "
			"/proc/self/status",
			clock_ns() + 20 * SECOND, &q, &e),
	       0, "exec: what it blocks");
	sigprocmask(SIG_BLOCK, &all, NULL);
	is_int(qmp_call(q, "x", NULL, &reply, &e), 0, "exec: by who blocks all signals");
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	is_str(cJSON_GetStringValue(reply), "0000000000000000", "exec: none is blocked there");
	cJSON_Delete(reply);
	qmp_close(q);
}

/* What is at the path of the socket. */
static void test_addresses(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct mn_error e = MN_ERROR_INIT;
	struct qmp *q;
	char address[400], longer[200];
	int dir = scratch_open(), fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	close(dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.90s/s", scratch_path);
	snprintf(address, sizeof(address), "unix:%s", addr.sun_path);
	is_int(qmp_open(address, clock_ns() + 20 * SECOND, &q, &e), -ENOENT, "no socket");
	is_int(e.status, MN_ABSENT, "no socket: no such VM");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		abort();
	is_int(qmp_open(address, clock_ns() + 20 * SECOND, &q, &e), -ECONNREFUSED,
	       "nobody listens");
	is_int(e.status, MN_ABSENT, "nobody listens: no such VM");
	if (listen(fd, 0) < 0)
		abort();
	is_int(qmp_open(address, clock_ns() + SHORT, &q, &e), -ETIMEDOUT, "nobody accepts");
	is_int(e.status, MN_TIMEOUT, "nobody accepts: not answering");
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	is_int(qmp_open(longer, clock_ns(), &q, &e), -ENAMETOOLONG, "too long a path");
	close(fd);
}

/* A monitor whose process is stopped is told from one that another client holds. */
static void test_stopped(void)
{
	struct server s = server_start("hang\n");
	struct transport t = {0};
	struct mn_error e = MN_ERROR_INIT;
	struct qmp *q;

	if (transport_adopt(s.fd, &t))
		abort();
	t.peer = s.pid; /* a socket pair has us as the peer */
	kill(s.pid, SIGSTOP);
	waitpid(s.pid, NULL, WUNTRACED);
	is_int(qmp_start(t, clock_ns() + SHORT, &q, &e), -ETIMEDOUT, "a stopped QEMU");
	ok(strstr(e.text, "kill -CONT") != NULL, "says how to wake it: %s", e.text);
	kill(s.pid, SIGCONT);
	server_end(&s);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_answers();
	test_failures();
	test_events();
	test_event_flood();
	test_large_event();
	test_broken_anywhere();
	test_exec();
	test_exec_signals();
	test_addresses();
	test_stopped();
	return done_testing();
}
