/*
 * What a monitor may send: the input is all that it ever says, from the greeting on, whatever we
 * ask. Nothing may crash, leak, or run on when the input has ended.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "qmp/agent.h"
#include "qmp/device.h"

struct input {
	const uint8_t *data;
	size_t size;
};

static int input_send(void *cookie, const char *line, size_t size, int64_t deadline_ns)
{
	(void)cookie, (void)line, (void)size, (void)deadline_ns;
	return 0;
}

/* In pieces of sizes that the input itself chooses. */
static ssize_t input_receive(void *cookie, char *buf, size_t size, int64_t deadline_ns)
{
	struct input *in = cookie;
	size_t n;

	(void)deadline_ns;
	if (in->size == 0)
		return 0;
	n = 1 + in->data[0] % 64;
	n = n < in->size ? n : in->size;
	n = n < size ? n : size;
	memcpy(buf, in->data, n);
	in->data += n;
	in->size -= n;
	return (ssize_t)n;
}

static void input_explain(void *cookie, char *buf, size_t size)
{
	(void)cookie;
	buf[size - 1] = buf[0] = '\0';
}

static void input_close(void *cookie)
{
	(void)cookie;
}

static const struct transport_ops stream_ops = {
	.stream = true,
	.send = input_send,
	.receive = input_receive,
	.explain = input_explain,
	.close = input_close,
};
static const struct transport_ops exec_ops = {
	.stream = false,
	.send = input_send,
	.receive = input_receive,
	.explain = input_explain,
	.close = input_close,
};

/* Time passes with each look, so that nothing waits. */
static int64_t now;
static int64_t fast_clock(void)
{
	return now += NS_PER_S;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.data = data, .size = size};
	struct mn_error e = MN_ERROR_INIT;
	struct transport t = {.cookie = &in};
	struct qmp *q;
	struct device_state state;
	cJSON *event = NULL;
	char text[256];

	if (size == 0)
		return 0;
	clock_use(fast_clock);
	t.ops = data[0] & 1 ? &stream_ops : &exec_ops;
	if (qmp_start(t, 3600 * NS_PER_S + now, &q, &e))
		return 0;
	device_look(q, &state, &e);
	device_plug(q, &e);
	qmp_event(q, now, &event, &e);
	cJSON_Delete(event);
	agent_read_file(q, "/proc/mounts", text, sizeof(text), &e);
	agent_run(q, (const char *const[]){"true", NULL}, text, sizeof(text), &e);
	qmp_set_deadline(q, now + 20 * NS_PER_S);
	device_unplug(q, &e);
	qmp_close(q);
	return 0;
}
