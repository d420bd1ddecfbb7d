/*
 * Any bytes as a transport stream, which a guest wrote, played to its end: every packet is of whole
 * packets of the stream, in order, and of a time that never goes back.
 */
#include "host/rtp.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(int fd, int64_t size)
{
	struct ts_pcr first, last;
	int64_t at;

	ts_begins(fd, size, size % 2 == 0);
	if (!ts_span(fd, 0, size, &first, &last))
		return;
	if (ts_since_ns(&first, &last) < 0)
		abort();
	at = ts_seek(fd, &first, size, ts_since_ns(&first, &last) / 2);
	if (at < 0 || at > size || (at - first.at) % TS_PACKET)
		abort();
}

static int64_t play(struct rtp *r, int64_t size, int64_t now_ns)
{
	uint8_t packet[RTP_MAX];
	int64_t due_ns = now_ns;
	int n;

	while ((n = rtp_next(r, size, false, now_ns, &due_ns)) > 0) {
		if (n % TS_PACKET || n > RTP_PAYLOAD || r->at + n > size)
			abort();
		if (due_ns < now_ns - NS_PER_S)
			abort();
		rtp_format(r, n, due_ns, packet);
		rtp_advance(r, n);
		if (due_ns > now_ns)
			now_ns = due_ns;
	}
	if (n < 0 || size - r->at >= TS_PACKET)
		abort();
	return now_ns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct rtp r;
	int64_t now_ns = NS_PER_S;

	if (fd < 0)
		fd = memfd_create("ts", MFD_CLOEXEC);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0;
	look(fd, (int64_t)size);
	if (rtp_init(&r, fd))
		return 0;
	rtp_start(&r, 0, now_ns);
	now_ns = play(&r, (int64_t)size, now_ns);
	rtp_join(&r, fd);
	play(&r, (int64_t)size, now_ns);
	rtp_fini(&r);
	return 0;
}
