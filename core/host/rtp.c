#include "host/rtp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define PAYLOAD_MP2T 33

/* Who is later than this is no longer hurried. */
#define LATE_NS NS_PER_S

int rtp_init(struct rtp *r, int fd)
{
	uint32_t random[3] = {0};

	if (getrandom(random, sizeof(random), 0) < 0)
		random[0] = (uint32_t)clock_ns();
	*r = (struct rtp){
		.fd = fd, .ssrc = random[0], .stamp = random[1], .sequence = (uint16_t)random[2]};
	r->window = malloc(2 * TS_LOOK);
	return r->window ? 0 : -ENOMEM;
}

void rtp_fini(struct rtp *r)
{
	free(r->window);
	*r = (struct rtp){0};
}

int64_t rtp_media_ns(const struct rtp *r, int64_t ns)
{
	return ns - r->origin_ns;
}

uint32_t rtp_stamp(const struct rtp *r, int64_t ns)
{
	return r->stamp + (uint32_t)(rtp_media_ns(r, ns) * 9 / 100000);
}

void rtp_start(struct rtp *r, int64_t at, int64_t now_ns)
{
	/* The stamps go on where they were. */
	if (r->marked)
		r->origin_ns += now_ns - r->mark_ns;
	else if (r->packets == 0)
		r->origin_ns = now_ns;
	r->mark_ns = now_ns;
	r->marked = r->ahead = r->joined = false;
	r->at = at;
	r->window_size = 0;
}

void rtp_join(struct rtp *r, int fd)
{
	r->fd = fd;
	r->mark.at -= r->at;
	r->joined = r->marked;
	r->ahead = false;
	r->at = 0;
	r->window_size = 0;
}

/* Holds what is there from `at` on, TS_LOOK of it if there is that much. */
static int fill(struct rtp *r, int64_t end)
{
	const int64_t have = r->window_at + (int64_t)r->window_size - r->at;
	ssize_t n;

	if (r->window_size > 0 && r->at >= r->window_at && have >= 0 &&
	    (have >= TS_LOOK || r->window_at + (int64_t)r->window_size >= end))
		return 0;
	n = pread(r->fd, r->window, 2 * TS_LOOK, r->at);
	if (n < 0)
		return -errno;
	r->window_at = r->at;
	r->window_size = (size_t)n;
	if (r->window_at + n > end)
		r->window_size = (size_t)(end - r->window_at);
	return r->window_size > 0 || end <= r->at ? 0 : -EIO;
}

static bool find_from(struct rtp *r, int64_t at, int pid, struct ts_pcr *pcr)
{
	const int64_t skip = at - r->window_at;

	return skip >= 0 && skip < (int64_t)r->window_size &&
	       ts_find_pcr(r->window + skip, r->window_size - (size_t)skip, at, pid, pcr);
}

/* From the mark to the next one; -1: they tell nothing of each other. */
static int64_t elapsed(const struct rtp *r)
{
	return r->mark.pid == r->next.pid ? ts_elapsed_ns(&r->mark, &r->next) : -1;
}

static void step(struct rtp *r)
{
	const int64_t ns = elapsed(r);

	/* A jump: as if nothing had happened but the packets in between. */
	if (ns >= 0)
		r->pace_ns = ns * TS_PACKET / (r->next.at - r->mark.at);
	r->mark_ns += ns >= 0 ? ns : (r->next.at - r->mark.at) / TS_PACKET * r->pace_ns;
	r->mark = r->next;
	r->ahead = r->joined = false;
}

static void find_marks(struct rtp *r)
{
	if (!r->marked) {
		r->marked = find_from(r, r->at, TS_ANY_PID, &r->mark);
		r->ahead = false;
	}
	while (r->marked) {
		if (!r->ahead) {
			const int64_t behind = r->mark.at + TS_PACKET;

			r->ahead = find_from(r, behind > r->at ? behind : r->at,
					     r->joined ? TS_ANY_PID : r->mark.pid, &r->next);
		}
		if (!r->ahead || r->at < r->next.at)
			return;
		step(r);
	}
}

static int64_t due(const struct rtp *r)
{
	const int64_t behind = r->at - r->mark.at;
	const int64_t ns = r->ahead ? elapsed(r) : -1;

	if (!r->marked || behind <= 0)
		return r->mark_ns;
	if (ns >= 0)
		return r->mark_ns +
		       ns * (behind / TS_PACKET) / ((r->next.at - r->mark.at) / TS_PACKET);
	return r->mark_ns + behind / TS_PACKET * r->pace_ns;
}

int rtp_next(struct rtp *r, int64_t end, bool growing, int64_t now_ns, int64_t *due_ns)
{
	int64_t left = (end - r->at) / TS_PACKET * TS_PACKET;
	int err;

	if (left <= 0 || (growing && left < RTP_PAYLOAD))
		return 0;
	err = fill(r, end);
	if (err)
		return err;
	if (r->window_at + (int64_t)r->window_size - r->at < TS_PACKET)
		return -EIO;
	find_marks(r);
	*due_ns = due(r);
	if (now_ns - *due_ns > LATE_NS) {
		r->origin_ns += now_ns - *due_ns;
		r->mark_ns += now_ns - *due_ns;
		*due_ns = now_ns;
	}
	if (*due_ns < r->free_ns)
		*due_ns = r->free_ns;
	r->sends_ns = *due_ns > now_ns ? *due_ns : now_ns;
	if (left > r->window_at + (int64_t)r->window_size - r->at)
		left = (r->window_at + (int64_t)r->window_size - r->at) / TS_PACKET * TS_PACKET;
	return left < RTP_PAYLOAD ? (int)left : RTP_PAYLOAD;
}

static uint8_t *put16(uint8_t *p, uint32_t n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
	return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t n)
{
	return put16(put16(p, n >> 16), n & 0xffff);
}

size_t rtp_format(const struct rtp *r, int payload, int64_t due_ns, uint8_t packet[RTP_MAX])
{
	uint8_t *p = packet;

	*p++ = 0x80;
	*p++ = PAYLOAD_MP2T;
	p = put16(p, r->sequence);
	p = put32(p, rtp_stamp(r, due_ns));
	p = put32(p, r->ssrc);
	memcpy(p, r->window + (r->at - r->window_at), (size_t)payload);
	return RTP_HEAD + (size_t)payload;
}

void rtp_advance(struct rtp *r, int payload)
{
	r->at += payload;
	r->free_ns = r->sends_ns + payload * NS_PER_S / RTP_RATE;
	r->sequence++;
	r->packets++;
	r->octets += (uint32_t)payload;
}

void rtp_rewind(struct rtp *r, const struct rtp *before)
{
	const int64_t window_at = r->window_at;
	const size_t window_size = r->window_size;

	*r = *before;
	r->window_at = window_at;
	r->window_size = window_size;
}

size_t rtcp_format(const struct rtp *r, int64_t now_ns, bool bye, uint8_t packet[RTCP_MAX])
{
	/* CNAME, and zeroes up to a multiple of four. */
	static const uint8_t name[] = {1, 6, 'm', 'e', 'm', 'n', 'e', 't', 0, 0, 0, 0};
	struct timespec t;
	uint8_t *p = packet;

	clock_gettime(CLOCK_REALTIME, &t);
	p = put32(p, 0x80c80006U); /* SR, of 6 words behind this one */
	p = put32(p, r->ssrc);
	p = put32(p, (uint32_t)(t.tv_sec + 2208988800LL)); /* since 1900 */
	p = put32(p, (uint32_t)(((uint64_t)t.tv_nsec << 32) / NS_PER_S));
	p = put32(p, rtp_stamp(r, now_ns));
	p = put32(p, r->packets);
	p = put32(p, r->octets);
	p = put32(p, 0x81ca0004U); /* SDES */
	p = put32(p, r->ssrc);
	memcpy(p, name, sizeof(name));
	p += sizeof(name);
	if (bye) {
		p = put32(p, 0x81cb0001U);
		p = put32(p, r->ssrc);
	}
	return (size_t)(p - packet);
}
