#include "qmp/agent.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/tame.h"

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* As much as fits, a NUL behind; ends at the first character that is no digit. The length. */
static size_t base64_decode(const char *text, char *buf, size_t size)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (; text && n < size - 1; text++) {
		int digit = base64_digit(*text);

		if (digit < 0)
			break;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf[n++] = (char)(bits >> have & 0xff);
		}
	}
	buf[n] = '\0';
	return n;
}

static cJSON *number_argument(const char *name, int64_t value)
{
	cJSON *arguments = cJSON_CreateObject();

	cJSON_AddNumberToObject(arguments, name, (double)value);
	return arguments;
}

static int read_handle(struct qmp *agent, int64_t handle, char *buf, size_t size,
		       struct mn_error *e)
{
	cleanup_json cJSON *reply = NULL;
	cJSON *arguments = number_argument("handle", handle);
	int err;

	cJSON_AddNumberToObject(arguments, "count", (double)(size - 1));
	err = qmp_call(agent, "guest-file-read", arguments, &reply, e);
	return err ? err : (int)base64_decode(json_string(reply, "buf-b64"), buf, size);
}

int agent_read_file(struct qmp *agent, const char *path, char *buf, size_t size, struct mn_error *e)
{
	cleanup_json cJSON *reply = NULL;
	int64_t handle = 0;
	int n, err = qmp_call(agent, "guest-file-open",
			      qmp_strings("path", path, "mode", "r", NULL), &reply, e);

	if (err)
		return err;
	if (json_whole(reply, 0, INT64_MAX, &handle))
		return mn_fail(e, MN_FAILED, EPROTO, "the guest agent's handle is no number");
	n = read_handle(agent, handle, buf, size, e);
	qmp_call(agent, "guest-file-close", number_argument("handle", handle), NULL, NULL);
	return n;
}

static int start(struct qmp *agent, const char *const words[], int64_t *pid, struct mn_error *e)
{
	cleanup_json cJSON *reply = NULL;
	cJSON *arguments = qmp_strings("path", words[0], NULL);
	cJSON *rest = cJSON_AddArrayToObject(arguments, "arg");
	int err;

	for (const char *const *word = words + 1; *word; word++)
		cJSON_AddItemToArray(rest, cJSON_CreateString(*word));
	cJSON_AddBoolToObject(arguments, "capture-output", true);
	err = qmp_call(agent, "guest-exec", arguments, &reply, e);
	if (err)
		return err;
	if (json_integer(reply, "pid", 1, INT32_MAX, pid))
		return mn_fail(e, MN_FAILED, EPROTO, "the guest agent gave no process number");
	return 0;
}

/* Whether it has ended, and how. 1, 0 or -errno. */
static int look(struct qmp *agent, int64_t pid, int *status, char *said, size_t size,
		struct mn_error *e)
{
	cleanup_json cJSON *reply = NULL;
	int64_t value;
	int err = qmp_call(agent, "guest-exec-status", number_argument("pid", pid), &reply, e);

	if (err)
		return err;
	if (!json_true(reply, "exited"))
		return 0;
	*status = 1;
	if (json_integer(reply, "exitcode", 0, 255, &value) == 0)
		*status = (int)value;
	else if (json_integer(reply, "signal", 1, 64, &value) == 0)
		*status = 128 + (int)value;
	base64_decode(json_string(reply, "err-data"), said, size);
	tame(said, ' ');
	return 1;
}

int agent_run(struct qmp *agent, const char *const words[], char *said, size_t size,
	      struct mn_error *e)
{
	int64_t pid;
	int status = 0, err = start(agent, words, &pid, e);

	while (!err) {
		err = look(agent, pid, &status, said, size, e);
		if (err > 0)
			return status;
		if (!err && clock_left_ms(qmp_deadline(agent)) == 0)
			return mn_fail(e, MN_TIMEOUT, ETIMEDOUT, "%s does not end in the guest",
				       words[0]);
		if (!err)
			poll(NULL, 0, 20);
	}
	return err;
}
