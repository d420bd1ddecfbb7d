/* Requests of RTSP, well formed and not; the clock of a transport stream, and its packets. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/rtp.h"
#include "host/rtsp_request.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static bool multicast;

static struct rtsp_request request(const char *fields, int want)
{
	struct rtsp_request r;
	static char head[1024]; /* what the request points into */

	snprintf(head, sizeof(head),
		 "SETUP rtsp://h:1/vm/s/a%%20b.ts/track1 RTSP/1.0\r\nCSeq: 7\r\n%s\r\n", fields);
	is_int(rtsp_request_parse(head, strlen(head), multicast, &r), want, "%.*s",
	       (int)strcspn(fields, "\r\n"), fields);
	return r;
}

static void line(const char *head, int want)
{
	struct rtsp_request r;

	is_int(rtsp_request_parse(head, strlen(head), false, &r), want, "%.*s",
	       (int)strcspn(head, "\r\n"), head);
}

static void test_lines(void)
{
	struct rtsp_request r = request("", 0);

	is_int(r.method, RTSP_SETUP, "a method");
	is_str(r.path, "/vm/s/a b.ts", "the path, without its track");
	is_mem(r.url.at, "rtsp://h:1/vm/s/a%20b.ts RTSP", r.url.size, "and the URL, too");
	is_int((intmax_t)r.url.size, strlen("rtsp://h:1/vm/s/a%20b.ts"), "to its end");
	is_int(r.cseq, 7, "a number");
	line("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 0);
	line("options * RTSP/1.0\r\n\r\n", 0);
	line("PLAY rtsp://h RTSP/1.0\r\n\r\n", 0);
	line("PLAY rtsp://h/a RTSP/2.0\r\n\r\n", 505);
	line("PLAY http://h/a RTSP/1.0\r\n\r\n", 400);
	line("PLAY rtsp://h/%00 RTSP/1.0\r\n\r\n", 400);
	line("PLAY rtsp://h/%g0 RTSP/1.0\r\n\r\n", 400);
	line("PLAY  RTSP/1.0\r\n\r\n", 400);
	line("PLAY\r\n\r\n", 400);
	line("", 0);
}

static void test_fields(void)
{
	struct rtsp_request r = request("Transport: RTP/AVP;unicast;client_port=5000-5001\r\n", 0);

	is_int(r.transport.port, 5000, "its port");
	ok(!r.transport.tcp, "by UDP");
	r = request("transport: RAW/RAW/UDP, RTP/AVP/TCP;interleaved=2-3\r\n", 0);
	ok(r.transport.tcp && r.transport.channel == 2, "the first that can be had");
	request("Transport: RTP/AVP\r\n", 461);
	request("Transport: RTP/AVP;client_port=65535-65536\r\n", 461);
	request("Transport: RTP/AVP;client_port=5000-6000\r\n", 461);
	request("Transport: RTP/AVP/TCP;interleaved=255-256\r\n", 461);
	request("Transport: RTP/AVP/TCP;mode=record\r\n", 461);
	request("Transport: RTP/AVP;multicast\r\n", 461);
	multicast = true;
	ok(request("Transport: RTP/AVP/UDP;multicast;destination=9.9.9.9;port=9-10\r\n", 0)
		   .transport.multicast,
	   "multicast");
	request("Transport: RTP/AVP/TCP;multicast;interleaved=0-1\r\n", 461);
	multicast = false;
	r = request("Range: npt=1:02:03.5-4000\r\n", 0);
	is_int(r.from_ms, 3723500, "from");
	is_int(r.to_ms, 4000000, "to");
	ok(request("Range: npt=now-\r\n", 0).now, "now");
	is_int(request("Range: npt=0.000-\r\n", 0).from_ms, 0, "zero");
	request("Range: npt=5-4\r\n", 457);
	request("Range: npt=x-\r\n", 457);
	request("Range: npt=1:2:3:4-\r\n", 457);
	request("Range: smpte=0:10:00-\r\n", 457);
	is_int(request("Session: 4294967295;timeout=60\r\n", 0).session, 4294967295, "a session");
	is_int(request("Session: abc\r\n", 0).session, 0, "nobody's");
	request("Content-Length: 5000\r\n", 400);
	request("Content-Length: 5\r\nContent-Length: 6\r\n", 400);
	r = request("Require: x\r\n", 551);
	ok(r.require.size == 1 && *r.require.at == 'x', "with what is required");
	request("no colon\r\n", 400);
	request("a\001b: c\r\n", 400);
	request(" folded: c\r\n", 400);
}

#define WRAP (1ULL << 33)

/* One packet, with a PCR in every fifth. */
static void write_packet(int fd, int i, uint64_t base)
{
	uint8_t p[TS_PACKET] = {0x47, 1, 0, 0x10};

	if (i % 5 == 0) {
		p[3] = 0x30;
		p[4] = 7;
		p[5] = 0x10;
		for (int b = 0; b < 4; b++)
			p[6 + b] = (uint8_t)(base >> (25 - 8 * b));
		p[10] = (uint8_t)(base << 7);
	}
	if (write(fd, p, sizeof(p)) != sizeof(p))
		ok(false, "a packet is written");
}

/* Ten seconds of one packet each 10 ms, from 5 s before the clock's wrap. */
#define PACKETS 1000
static void write_stream(int fd)
{
	for (int i = 0; i < PACKETS; i++)
		write_packet(fd, i, (WRAP - 450000 + (uint64_t)i * 900) % WRAP);
}

static void test_clock(int fd)
{
	struct ts_pcr first, last;

	ok(ts_span(fd, 0, (int64_t)PACKETS * TS_PACKET, &first, &last), "there are PCRs");
	is_int((ts_since_ns(&first, &last) + 500000) / NS_PER_MS, 9950, "through the wrap");
	is_int(ts_seek(fd, &first, (int64_t)PACKETS * TS_PACKET, 7020 * NS_PER_MS) / TS_PACKET, 700,
	       "a time is found");
	is_int(ts_elapsed_ns(&last, &first), -1, "back is a jump");
}

static void test_pace(int fd)
{
	const int64_t size = (int64_t)PACKETS * TS_PACKET;
	int64_t begin = 1000 * NS_PER_S, due_ns = begin, worst = 0;
	struct rtp r;
	int n, packets = 0;

	rtp_init(&r, fd);
	rtp_start(&r, 0, begin);
	while ((n = rtp_next(&r, size, false, due_ns, &due_ns)) > 0) {
		const int64_t off = due_ns - begin - packets * 70 * NS_PER_MS;

		if (off > worst || -off > worst)
			worst = off < 0 ? -off : off;
		rtp_advance(&r, n);
		packets++;
	}
	is_int(n, 0, "to the end");
	is_int(packets, 143, "all of it");
	ok(worst < 100000, "each packet is due in its time: %lld ns", (long long)worst);
	is_int(rtp_next(&r, size + TS_PACKET, true, due_ns, &due_ns), 0, "a growing one waits");
	begin += 20 * NS_PER_S;
	rtp_start(&r, 0, begin);
	is_int(rtp_next(&r, size, false, begin, &due_ns), RTP_PAYLOAD, "from its beginning again");
	is_int(rtp_next(&r, size, false, begin + 5 * NS_PER_S, &due_ns), RTP_PAYLOAD, "late");
	is_int(due_ns - begin, 5 * NS_PER_S, "is not hurried");
	rtp_fini(&r);
}

/* The same stream as two objects, then another one. */
static void test_join(int root, int fd)
{
	const int64_t begin = 1000 * NS_PER_S, size = (int64_t)PACKETS * TS_PACKET;
	const int tail = openat(root, "tail.ts", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	const int64_t cut = 402LL * TS_PACKET; /* two packets behind a PCR */
	static uint8_t rest[PACKETS * TS_PACKET];
	int64_t due_ns = begin;
	struct rtp r;
	int n;

	ok(pread(fd, rest, (size_t)(size - cut), cut) == size - cut &&
		   write(tail, rest, (size_t)(size - cut)) == size - cut,
	   "an object cut in two");
	rtp_init(&r, fd);
	rtp_start(&r, 0, begin);
	while ((n = rtp_next(&r, cut, false, due_ns, &due_ns)) > 0)
		rtp_advance(&r, n);
	rtp_join(&r, tail);
	n = rtp_next(&r, size - cut, false, due_ns, &due_ns);
	is_int(n, RTP_PAYLOAD, "goes on");
	is_int((due_ns - begin + 500000) / NS_PER_MS, 4020, "when it is due");
	is_int(rtp_stamp(&r, due_ns) - r.stamp, 4020 * 90, "with its stamp");
	rtp_advance(&r, n);
	while ((n = rtp_next(&r, size - cut, false, due_ns, &due_ns)) > 0)
		rtp_advance(&r, n);
	is_int((due_ns - begin + 5000000) / (10 * NS_PER_MS), 997, "to its end");
	rtp_join(&r, fd);
	rtp_next(&r, size, false, due_ns, &due_ns);
	is_int((due_ns - begin + 5000000) / (10 * NS_PER_MS), 1000,
	       "one with another clock follows");
	rtp_fini(&r);
	close(tail);
}

/* 100 packets in a ms, then one each ms. */
static uint64_t peak_clock(int i)
{
	return i < 100 ? (uint64_t)i * 9 / 10 : 90 + (uint64_t)(i - 100) * 90;
}

static uint64_t still_clock(int i)
{
	return i < 0;
}

static uint64_t creeping_clock(int i)
{
	return (uint64_t)i / 10;
}

static uint64_t jumping_clock(int i)
{
	return (uint64_t)i * 5000000 % WRAP;
}

/*
 * Plays a stream of that clock, as far as it is due, each 5 ms, all of it twice over: how long it
 * took, and whether RTP_RATE was ever exceeded over that and the look ahead of 5 ms.
 */
static int64_t play_clock(int root, uint64_t clock(int i), const char *name)
{
	const int fd = openat(root, "clock.ts", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const int64_t begin = 1000 * NS_PER_S, step = 5 * NS_PER_MS;
	int64_t now = begin, due_ns, bytes = 0;
	bool exceeded = false;
	struct rtp r;

	for (int i = 0; i < PACKETS; i++)
		write_packet(fd, i, clock(i));
	rtp_init(&r, fd);
	rtp_start(&r, 0, now);
	for (int turn = 0; turn < 2; turn++) {
		int n;

		if (turn)
			rtp_join(&r, fd);
		while ((n = rtp_next(&r, (int64_t)PACKETS * TS_PACKET, false, now, &due_ns)) > 0) {
			if (due_ns > now + step) {
				now += step;
				continue;
			}
			rtp_advance(&r, n);
			bytes += n;
			exceeded |= bytes - RTP_PAYLOAD >
				    (now + step - begin) * (RTP_RATE / 1000000) / 1000;
		}
	}
	ok(!exceeded && bytes == 2LL * PACKETS * TS_PACKET, "%s: all, and never too fast", name);
	rtp_fini(&r);
	close(fd);
	return now - begin;
}

static void test_rate(int root)
{
	const int64_t least =
		2LL * PACKETS * TS_PACKET * 1000 / (RTP_RATE / 1000000) - 10 * NS_PER_MS;

	ok(play_clock(root, still_clock, "a clock that stands still") >= least,
	   "it takes its time");
	ok(play_clock(root, creeping_clock, "one that creeps") >= least, "it takes its time");
	ok(play_clock(root, jumping_clock, "one that jumps") >= least, "it takes its time");
	is_int((play_clock(root, peak_clock, "a peak") + 10 * NS_PER_MS) / (50 * NS_PER_MS), 36,
	       "what comes behind a peak is not late for it");
}

static void begins(int root, const uint8_t *data, size_t size, bool growing, int want,
		   const char *what)
{
	const int fd = openat(root, "b", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (write(fd, data, size) != (ssize_t)size)
		want = -EIO;
	is_int(ts_begins(fd, (int64_t)size, growing), want, "%s", what);
	close(fd);
}

static void test_begins(int root)
{
	static uint8_t data[TS_LOOK + 2 * TS_PACKET];

	for (size_t at = 0; at < sizeof(data); at += TS_PACKET)
		data[at] = 0x47;
	begins(root, data, 0, true, 0, "nothing yet");
	begins(root, data, 0, false, -EINVAL, "nothing");
	begins(root, data, 100, true, 0, "a part of a packet, yet");
	begins(root, data, 100, false, -EINVAL, "a part of a packet");
	begins(root, (const uint8_t *)"GIF", 3, true, 0, "what may become one");
	begins(root, (const uint8_t *)"PNG", 3, true, -EINVAL, "what never will");
	begins(root, data, 5000, true, 0, "no clock yet");
	begins(root, data, 5000, false, -ENODATA, "no clock");
	begins(root, data, sizeof(data), true, -ENODATA, "no clock for too long");
	data[TS_PACKET + 3] = 0x20;
	data[TS_PACKET + 4] = 7;
	data[TS_PACKET + 5] = 0x10;
	begins(root, data, 5000, true, 1, "one that grows");
	begins(root, data, TS_PACKET, false, -ENODATA, "one packet");
	data[TS_PACKET] = 0;
	begins(root, data, 5000, false, -EINVAL, "a G by chance");
}

int main(void)
{
	const int root = scratch_open();
	const int fd = openat(root, "x.ts", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	test_lines();
	test_fields();
	write_stream(fd);
	test_clock(fd);
	test_pace(fd);
	test_join(root, fd);
	test_rate(root);
	test_begins(root);
	close(fd);
	return done_testing();
}
