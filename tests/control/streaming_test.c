/* Two streams that were named and serve one space: what both of them sent and released counts. */
#include "control/streaming.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/tuner.h"
#include "tests/tap.h"

#define S INT64_C(1000000000)

static struct tuner_wish wish = {.name = {"vm1", "out"}};
static struct tuner_config config = {
	.space = &wish,
	.nspaces = 1,
	.stream = {{"127.0.0.1", 1}, {"127.0.0.1", 2}},
	.nstreams = 2,
};
static struct loop loop = {.now_ns = 100 * S};
static struct tuner tuner = {.loop = &loop, .runtime_dir = "/nonexistent", .config = &config};

static void answer(size_t stream, uint64_t sent, uint64_t released)
{
	struct scrape *s = &tuner.stream[stream];

	s->space(s, "vm1/out", "memnet_stream_space_sent_bytes_total", sent);
	s->space(s, "vm1/out", "memnet_stream_space_released_bytes_total", released);
}

static const struct profiler_hints *look(void)
{
	loop.now_ns += S / 5;
	streaming_look(&tuner, 0, 0.2);
	return &tuner.space[0].hints;
}

static void both_count(void)
{
	answer(0, 10000000000, 5000000000);
	answer(1, 1000000000, 500000000);
	ok(look()->sent_bytes == 0 && tuner.space[0].hints.released_bytes == 0,
	   "what they sent before they were known was sent before");
	answer(0, 10000000100, 5000000010);
	answer(1, 1000000020, 500000002);
	is_int((intmax_t)look()->sent_bytes, 120, "both have sent");
	is_int((intmax_t)tuner.space[0].hints.released_bytes, 12, "and released");
	answer(0, 10000000100, 5000000010);
	is_int((intmax_t)look()->sent_bytes, 120, "one that is late takes nothing back");
	answer(1, 5, 1);
	is_int((intmax_t)look()->sent_bytes, 120, "nor one that began anew");
	answer(1, 9, 1);
	is_int((intmax_t)look()->sent_bytes, 124, "which then counts");
}

static void limits(void)
{
	tuner.stream[0].rate_bps = 8000000;
	tuner.stream[1].rate_bps = 2000000;
	answer(0, 10000000100, 5000000010);
	answer(1, 9, 1);
	is_int((intmax_t)look()->drain_bps, 2000000, "the lower limit holds");
	loop.now_ns += STREAMS_WAIT_NS;
	answer(0, 10000000100, 5000000010);
	is_int((intmax_t)look()->drain_bps, 8000000, "while its stream tells of the space");
	loop.now_ns += 2 * STREAMS_WAIT_NS;
	ok(!look()->streamed && tuner.space[0].hints.drain_bps == 0, "and none when all are gone");
}

int main(void)
{
	struct mn_error e = MN_ERROR_INIT;

	tuner.stream = calloc(config.nstreams + 1, sizeof(*tuner.stream));
	tuner.streams = calloc(1, sizeof(*tuner.streams));
	tuner.space = calloc(1, sizeof(*tuner.space));
	is_int(streaming_open(&tuner, &e), 0, "two streams %s", e.text);
	both_count();
	limits();
	streaming_close(&tuner);
	free(tuner.space);
	return done_testing();
}
