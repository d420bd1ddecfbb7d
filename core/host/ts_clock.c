#include "host/ts_clock.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define SYNC	0x47
#define WRAP_NS ((int64_t)((1LL << 33) * 100000 / 9)) /* of 33 bits at 90 kHz */

bool ts_probe(const uint8_t *data, size_t size)
{
	return size >= TS_PACKET && data[0] == SYNC &&
	       (size <= TS_PACKET || data[TS_PACKET] == SYNC);
}

static bool read_pcr(const uint8_t *p, struct ts_pcr *pcr)
{
	int64_t base;

	/* An adaptation field, long enough, with the flag. */
	if (p[0] != SYNC || !(p[3] & 0x20) || p[4] < 7 || !(p[5] & 0x10))
		return false;
	base = (int64_t)p[6] << 25 | (int64_t)p[7] << 17 | (int64_t)p[8] << 9 | (int64_t)p[9] << 1 |
	       p[10] >> 7;
	pcr->pid = (p[1] & 0x1f) << 8 | p[2];
	/* The 27 MHz part counts to 300; beyond that it would lie behind the wrap. */
	pcr->ns = base * 100000 / 9 + ((p[10] & 1) << 8 | p[11]) % 300 * 1000 / 27;
	return true;
}

bool ts_find_pcr(const uint8_t *data, size_t size, int64_t at, int pid, struct ts_pcr *pcr)
{
	for (size_t i = 0; i + TS_PACKET <= size; i += TS_PACKET) {
		if (read_pcr(data + i, pcr) && (pid == TS_ANY_PID || pcr->pid == pid)) {
			pcr->at = at + (int64_t)i;
			return true;
		}
	}
	return false;
}

int64_t ts_since_ns(const struct ts_pcr *first, const struct ts_pcr *at)
{
	const int64_t ns = at->ns - first->ns;

	return ns < 0 ? ns + WRAP_NS : ns;
}

int64_t ts_elapsed_ns(const struct ts_pcr *from, const struct ts_pcr *to)
{
	const int64_t ns = ts_since_ns(from, to);

	return ns > 10 * NS_PER_S ? -1 : ns;
}

/* The first PCR at or behind `at`. */
static bool look(int fd, int64_t at, int pid, struct ts_pcr *pcr)
{
	cleanup_free uint8_t *buf = malloc(TS_LOOK);
	const ssize_t n = buf ? pread(fd, buf, TS_LOOK, at) : -1;

	return n > 0 && ts_find_pcr(buf, (size_t)n, at, pid, pcr);
}

int ts_begins(int fd, int64_t size, bool growing)
{
	uint8_t head[TS_PACKET + 1];
	const ssize_t n = pread(fd, head, sizeof(head), 0);
	struct ts_pcr first;

	if (growing && size < (int64_t)sizeof(head) && (n <= 0 || head[0] == SYNC))
		return 0;
	if (n < 0 || !ts_probe(head, (size_t)n))
		return -EINVAL;
	if (look(fd, 0, TS_ANY_PID, &first))
		return 1;
	return growing && size < TS_LOOK ? 0 : -ENODATA;
}

static bool look_last(int fd, int64_t from, int64_t size, int pid, struct ts_pcr *last)
{
	cleanup_free uint8_t *buf = malloc(TS_LOOK);
	int64_t packets = (size - from) / TS_PACKET, at;
	struct ts_pcr pcr;
	bool found = false;
	ssize_t n;

	at = from + (packets > TS_LOOK / TS_PACKET ? packets - TS_LOOK / TS_PACKET : 0) * TS_PACKET;
	n = buf ? pread(fd, buf, TS_LOOK, at) : -1;
	for (ssize_t i = 0; i + TS_PACKET <= n; i += TS_PACKET) {
		if (ts_find_pcr(buf + i, TS_PACKET, at + i, pid, &pcr)) {
			*last = pcr;
			found = true;
		}
	}
	return found;
}

bool ts_span(int fd, int64_t from, int64_t size, struct ts_pcr *first, struct ts_pcr *last)
{
	return look(fd, from, TS_ANY_PID, first) && look_last(fd, from, size, first->pid, last);
}

int64_t ts_seek(int fd, const struct ts_pcr *first, int64_t size, int64_t ns)
{
	int64_t low = first->at, high = first->at + (size - first->at) / TS_PACKET * TS_PACKET;
	struct ts_pcr pcr;

	while (high - low > TS_PACKET) {
		const int64_t middle = low + (high - low) / 2 / TS_PACKET * TS_PACKET;

		if (look(fd, middle, first->pid, &pcr) && pcr.at < high &&
		    ts_since_ns(first, &pcr) <= ns)
			low = pcr.at > low ? pcr.at : middle;
		else
			high = middle;
	}
	return low;
}
