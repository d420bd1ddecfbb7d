/*
 * A transport stream as RTP (RFC 3550, payload 33 of RFC 2250), paced by its PCR.
 *
 * Theory of operation. Seven packets of the stream make one of RTP. What lies between two PCRs is
 * spread evenly over the time between them, for which the stream is read ahead to the next one;
 * where there is none within TS_LOOK, at a live object's edge for one, the last pace is kept.
 * `origin_ns` is when the time of the RTP stamps was 0; who falls behind (a live object's writer, a
 * slow client) moves it, so that what is late is not sent in a burst.
 *
 * The clock is the guest's, and may stand still or creep: whatever it says, no more than RTP_RATE
 * is due. What a clock puts into a peak above that goes out behind it.
 */
#pragma once

#include "host/ts_clock.h"

#define RTP_HEAD    12
#define RTP_PAYLOAD (7 * TS_PACKET)
#define RTP_MAX	    (RTP_HEAD + RTP_PAYLOAD)
#define RTCP_MAX    64

/* Bytes per second: 200 Mbit/s. UHD Blu-ray's 144 are the most of what is made to be played. */
#define RTP_RATE 25000000

struct rtp {
	int fd; /* of the object; not its own */
	uint8_t *window;
	int64_t window_at;
	size_t window_size;
	int64_t at; /* the next byte's offset */
	struct ts_pcr mark, next;
	bool marked, ahead; /* there is a mark; there is a next one */
	bool joined;	    /* the mark is in the object before this one */
	int64_t mark_ns;    /* when the mark is due */
	int64_t pace_ns;    /* of one packet of the stream, before the mark */
	int64_t origin_ns;
	int64_t sends_ns; /* the next packet, at the earliest now */
	int64_t free_ns;  /* when RTP_RATE allows it */
	uint32_t ssrc, stamp;
	uint16_t sequence;
	uint32_t packets, octets;
};

/* 0 or -ENOMEM. */
int rtp_init(struct rtp *r, int fd);
void rtp_fini(struct rtp *r);

/* Goes on from offset `at`, now. */
void rtp_start(struct rtp *r, int64_t at, int64_t now_ns);

/*
 * Goes on with another object, from its beginning, as if it were the rest of the one before: the
 * packets are numbered on, and where its clock goes on as well, so does the pace.
 */
void rtp_join(struct rtp *r, int fd);

/* Time of the stamps: of what is due at `ns`. */
int64_t rtp_media_ns(const struct rtp *r, int64_t ns);
uint32_t rtp_stamp(const struct rtp *r, int64_t ns);

/*
 * The next packet is due at *due_ns. Its payload's size, 0 where there is not enough of it before
 * `end` (`growing`: less than a whole one), or -EIO where the object is shorter than that.
 */
int rtp_next(struct rtp *r, int64_t end, bool growing, int64_t now_ns, int64_t *due_ns);

/* Writes the packet that rtp_next() told of. Its size. */
size_t rtp_format(const struct rtp *r, int payload, int64_t due_ns, uint8_t packet[RTP_MAX]);
void rtp_advance(struct rtp *r, int payload);
/* As it was `before`, a copy: for what was not sent after all. */
void rtp_rewind(struct rtp *r, const struct rtp *before);

/* A sender report, with BYE if this is the end. Its size. */
size_t rtcp_format(const struct rtp *r, int64_t now_ns, bool bye, uint8_t packet[RTCP_MAX]);
