#include "qmp/qmp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/tame.h"

enum dialect { DIALECT_MONITOR, DIALECT_AGENT };

struct qmp {
	struct transport transport;
	enum dialect dialect;
	int64_t deadline_ns;
	unsigned next_id;
	cJSON *events; /* oldest first */

	/* What was received: [start, end) is not looked at yet, and has no newline before `scan`.
	 */
	char *buf;
	size_t capacity, start, scan, end;
	size_t budget; /* bytes that this call may still receive */

	char refusal_class[64], refusal[256];
};

/* A peer's words, on one line and harmless to a terminal. */
static void copy_printable(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
	tame(to, ' ');
}

static const char *peer_name(const struct qmp *q)
{
	return q->dialect == DIALECT_AGENT ? "the guest agent" : "QEMU";
}

/* Room for at least one more byte at the end. 0 or -ENOMEM. */
static int buf_reserve(struct qmp *q)
{
	size_t capacity = q->capacity ? q->capacity * 2 : 16384;
	char *buf;

	if (q->start > 0) {
		memmove(q->buf, q->buf + q->start, q->end - q->start);
		q->scan -= q->start;
		q->end -= q->start;
		q->start = 0;
	}
	if (q->end < q->capacity)
		return 0;
	buf = realloc(q->buf, capacity);
	if (!buf)
		return -ENOMEM;
	q->buf = buf;
	q->capacity = capacity;
	return 0;
}

static int buf_fill(struct qmp *q, int64_t deadline_ns)
{
	ssize_t n;
	int err;

	if (q->budget == 0)
		return -EMSGSIZE;
	if (q->end == q->capacity) {
		err = buf_reserve(q);
		if (err)
			return err;
	}
	n = q->transport.ops->receive(q->transport.cookie, q->buf + q->end, q->capacity - q->end,
				      deadline_ns);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return -EPIPE;
	q->end += (size_t)n;
	q->budget -= (size_t)n < q->budget ? (size_t)n : q->budget;
	return 0;
}

/* The next line, which lives until the next call. Its length, or -errno; -EPIPE: there is none. */
static ssize_t next_line(struct qmp *q, int64_t deadline_ns, char **line)
{
	for (;;) {
		char *newline =
			q->scan < q->end ? memchr(q->buf + q->scan, '\n', q->end - q->scan) : NULL;
		int err;

		if (newline) {
			size_t length = (size_t)(newline - q->buf) - q->start;

			*line = q->buf + q->start;
			q->start = q->scan = q->start + length + 1;
			return (ssize_t)length;
		}
		q->scan = q->end;
		err = buf_fill(q, deadline_ns);
		if (err)
			return err;
	}
}

/*
 * The next JSON object, which the caller deletes; anything else is passed over. The length of its
 * text, or -errno.
 */
static ssize_t next_message(struct qmp *q, int64_t deadline_ns, cJSON **message)
{
	for (;;) {
		char *line = NULL;
		ssize_t n = next_line(q, deadline_ns, &line);

		if (n < 0)
			return n;
		/* The agent puts 0xff before its answer to guest-sync-delimited. */
		while (n > 0 && (unsigned char)*line == 0xff) {
			line++;
			n--;
		}
		*message = json_parse(line, (size_t)n);
		if (cJSON_IsObject(*message))
			return n;
		cJSON_Delete(STEAL_PTR(*message)); /* the caller deletes what it finds there */
	}
}

static int fail_receive(const struct qmp *q, int err, struct mn_error *e)
{
	char why[200];

	switch (err) {
	case -ETIMEDOUT:
		return mn_fail(e, MN_TIMEOUT, ETIMEDOUT, "%s does not answer", peer_name(q));
	case -EMSGSIZE:
		return mn_fail(e, MN_FAILED, EMSGSIZE, "%s sent more than %u MB and no answer",
			       peer_name(q), QMP_BYTES_MAX >> 20);
	case -EPIPE:
		q->transport.ops->explain(q->transport.cookie, why, sizeof(why));
		tame(why, ' ');
		return mn_fail(e, MN_FAILED, EPIPE, "%s gave no answer: %s", peer_name(q), why);
	default: return mn_fail_errno(e, -err, "%s", peer_name(q));
	}
}

static int fail_send(const struct qmp *q, int err, struct mn_error *e)
{
	if (!q->transport.program)
		return fail_receive(q, err, e);
	return mn_fail_errno(e, -err, "the monitor's command %.64s cannot be run",
			     q->transport.program);
}

static void keep_event(struct qmp *q, cJSON *event)
{
	cJSON_AddItemToArray(q->events, event);
	if (cJSON_GetArraySize(q->events) > QMP_EVENTS_MAX)
		cJSON_DeleteItemFromArray(q->events, 0);
}

static bool is_answer(const struct qmp *q, const cJSON *message, const char *id)
{
	const char *have = json_string(message, "id");

	if (!cJSON_HasObjectItem(message, "return") && !cJSON_HasObjectItem(message, "error"))
		return false;
	/* A process per call has but one answer to give. */
	return !q->transport.ops->stream || (have && strcmp(have, id) == 0);
}

/* Reads until the answer to `id`. 0 or -errno. */
static int await_answer(struct qmp *q, const char *id, cJSON **answer)
{
	for (;;) {
		cleanup_json cJSON *message = NULL;
		ssize_t n = next_message(q, q->deadline_ns, &message);

		if (n < 0)
			return (int)n;
		if (is_answer(q, message, id)) {
			*answer = STEAL_PTR(message);
			return 0;
		}
		if (n <= QMP_EVENT_BYTES_MAX && json_string(message, "event"))
			keep_event(q, STEAL_PTR(message));
	}
}

static int send_command(struct qmp *q, const char *command, cJSON *arguments, const char *id)
{
	cleanup_json cJSON *message = cJSON_CreateObject();
	cleanup_free char *text = NULL;
	size_t n;

	cJSON_AddStringToObject(message, "execute", command);
	if (arguments)
		cJSON_AddItemToObject(message, "arguments", arguments);
	/* libvirt puts an id of its own, and refuses a command that has one. */
	if (q->transport.ops->stream)
		cJSON_AddStringToObject(message, "id", id);
	text = cJSON_PrintUnformatted(message);
	if (!text)
		return -ENOMEM;
	n = strlen(text);
	text[n] = '\n'; /* in place of the NUL */
	return q->transport.ops->send(q->transport.cookie, text, n + 1, q->deadline_ns);
}

static int refused(struct qmp *q, const char *command, const cJSON *answer, struct mn_error *e)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(answer, "error");
	const char *class = json_string(error, "class"), *desc = json_string(error, "desc");

	copy_printable(q->refusal_class, sizeof(q->refusal_class), class ? class : "");
	copy_printable(q->refusal, sizeof(q->refusal), desc ? desc : "no reason given");
	return mn_fail(e, MN_FAILED, EREMOTEIO, "%s refused %s: %s", peer_name(q), command,
		       q->refusal);
}

int qmp_call(struct qmp *q, const char *command, cJSON *arguments, cJSON **reply,
	     struct mn_error *e)
{
	cleanup_json cJSON *answer = NULL;
	char id[24];
	int err;

	snprintf(id, sizeof(id), "memnet-%u", q->next_id++);
	q->budget = QMP_BYTES_MAX;
	err = send_command(q, command, arguments, id);
	if (err)
		return fail_send(q, err, e);
	err = await_answer(q, id, &answer);
	if (err)
		return fail_receive(q, err, e);
	if (!cJSON_HasObjectItem(answer, "return"))
		return refused(q, command, answer, e);
	if (reply)
		*reply = cJSON_DetachItemFromObjectCaseSensitive(answer, "return");
	return 0;
}

int qmp_event(struct qmp *q, int64_t deadline_ns, cJSON **event, struct mn_error *e)
{
	*event = cJSON_DetachItemFromArray(q->events, 0);
	if (*event)
		return 0;
	if (!qmp_has_events(q))
		return -ETIMEDOUT;
	q->budget = QMP_BYTES_MAX;
	for (;;) {
		cleanup_json cJSON *message = NULL;
		ssize_t n = next_message(q, deadline_ns, &message);

		if (n == -ETIMEDOUT)
			return -ETIMEDOUT;
		if (n < 0)
			return fail_receive(q, (int)n, e);
		if (json_string(message, "event")) {
			*event = STEAL_PTR(message);
			return 0;
		}
	}
}

/* Whether a process is stopped (SIGSTOP, ^Z), as /proc tells. */
static bool process_stopped(pid_t pid)
{
	char path[40], line[128];
	cleanup_file FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "State:", 6) == 0)
			return strchr(line + 6, 'T') != NULL;
	}
	return false;
}

/* The monitor took the connection and says nothing: a stopped process or a second client. */
static int fail_silent(const struct qmp *q, struct mn_error *e)
{
	pid_t pid = q->transport.peer;

	if (pid > 0 && process_stopped(pid))
		return mn_fail(e, MN_TIMEOUT, ETIMEDOUT, "QEMU is stopped (wake it: kill -CONT %d)",
			       (int)pid);
	return mn_fail(e, MN_TIMEOUT, ETIMEDOUT,
		       "QEMU does not greet (is another client at this monitor? give memnet one of "
		       "its own: memnet share qemu-args)");
}

static int greet_monitor(struct qmp *q, struct mn_error *e)
{
	bool greeted = false;

	if (!q->transport.ops->stream)
		return 0;
	while (!greeted) {
		cleanup_json cJSON *message = NULL;
		ssize_t n = next_message(q, q->deadline_ns, &message);

		if (n < 0)
			return n == -ETIMEDOUT ? fail_silent(q, e) : fail_receive(q, (int)n, e);
		greeted = cJSON_HasObjectItem(message, "QMP");
	}
	return qmp_call(q, "qmp_capabilities", NULL, NULL, e);
}

/* Answers that an earlier client did not wait for are passed over until our number comes back. */
static int greet_agent(struct qmp *q, struct mn_error *e)
{
	char line[96];
	int64_t token = (clock_ns() & 0x3fffffff) | 1, got = 0;
	int n = snprintf(line, sizeof(line),
			 "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" PRId64
			 "}}\n",
			 token);
	ssize_t err;

	if (!q->transport.ops->stream)
		return 0;
	err = q->transport.ops->send(q->transport.cookie, line, (size_t)n, q->deadline_ns);
	while (err >= 0 && got != token) {
		cleanup_json cJSON *message = NULL;

		err = next_message(q, q->deadline_ns, &message);
		if (err < 0 || json_integer(message, "return", 1, INT32_MAX, &got))
			got = 0;
	}
	if (err == -ETIMEDOUT)
		return mn_fail(e, MN_TIMEOUT, ETIMEDOUT,
			       "the guest agent does not answer (in the guest, start "
			       "qemu-guest-agent; see also that nobody else is at its socket)");
	return err < 0 ? fail_receive(q, (int)err, e) : 0;
}

static int start(struct transport t, enum dialect dialect, int64_t deadline_ns, struct qmp **out,
		 struct mn_error *e)
{
	struct qmp *q = calloc(1, sizeof(*q));
	cJSON *events = cJSON_CreateArray();
	int err;

	if (!q || !events) {
		free(q);
		cJSON_Delete(events);
		transport_close(&t);
		return mn_fail_errno(e, ENOMEM, "QMP");
	}
	*q = (struct qmp){.transport = t,
			  .dialect = dialect,
			  .deadline_ns = deadline_ns,
			  .next_id = 1,
			  .events = events,
			  .budget = QMP_BYTES_MAX};
	err = dialect == DIALECT_AGENT ? greet_agent(q, e) : greet_monitor(q, e);
	if (err) {
		qmp_close(q);
		return err;
	}
	*out = q;
	return 0;
}

int qmp_start(struct transport t, int64_t deadline_ns, struct qmp **q, struct mn_error *e)
{
	return start(t, DIALECT_MONITOR, deadline_ns, q, e);
}

int qmp_open(const char *address, int64_t deadline_ns, struct qmp **q, struct mn_error *e)
{
	struct transport t = {0};
	int err = transport_open(address, deadline_ns, &t, e);

	return err ? err : start(t, DIALECT_MONITOR, deadline_ns, q, e);
}

int qmp_open_agent(const char *address, int64_t deadline_ns, struct qmp **q, struct mn_error *e)
{
	struct transport t = {0};
	int err = transport_open(address, deadline_ns, &t, e);

	return err ? err : start(t, DIALECT_AGENT, deadline_ns, q, e);
}

void qmp_close(struct qmp *q)
{
	if (!q)
		return;
	transport_close(&q->transport);
	cJSON_Delete(q->events);
	free(q->buf);
	free(q);
}

void qmp_set_deadline(struct qmp *q, int64_t deadline_ns)
{
	q->deadline_ns = deadline_ns;
}

int64_t qmp_deadline(const struct qmp *q)
{
	return q->deadline_ns;
}

bool qmp_has_events(const struct qmp *q)
{
	return q->transport.ops->stream;
}

pid_t qmp_peer(const struct qmp *q)
{
	return q->transport.peer;
}

const char *qmp_refusal_class(const struct qmp *q)
{
	return q->refusal_class;
}

const char *qmp_refusal(const struct qmp *q)
{
	return q->refusal;
}

cJSON *qmp_strings(const char *name, ...)
{
	cJSON *object = cJSON_CreateObject();
	va_list args;

	va_start(args, name);
	for (; name; name = va_arg(args, const char *))
		cJSON_AddStringToObject(object, name, va_arg(args, const char *));
	va_end(args);
	return object;
}
