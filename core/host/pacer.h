/*
 * When a connection may send: its share of a turn, --client-rate, --rate and --object-rate.
 *
 * Theory of operation. What could go on but has had its share of the turn is `runnable`, and goes
 * on after the next batch of events. What may not go on before a certain time waits for it on a
 * wheel: slots of PACER_TICK_NS, one timer for all of them, and a slot's connections are served one
 * after the other. Each is given a quantum, in one call, that its socket takes whole, and that
 * leaves as one packet for the network card to cut.
 *
 * The quantum decides what a paced byte costs: its packets, of up to 64 KiB on this host, each wake
 * someone. A period longer than TCP's least time-out (200 ms) would have TCP shrink its window in
 * each pause (RFC 2861), so that a quantum went in two or three packets; only bbr does not. So the
 * period is just below that, and with bbr longer.
 *
 * SO_MAX_PACING_RATE has the kernel do this, by a timer for each connection and packet: with it
 * 2,000 clients at 2 Mbit/s cost 1.5 times as much, 200 at 20 Mbit/s 2.4 times, 40 at 100 Mbit/s
 * twice.
 *
 * What a client does not read stays in the host's TCP, whose memory is one for all of them. When
 * that runs short it gives every client a window of a few KiB, and small packets cost several times
 * as much: 8,000 clients that read nothing in their first second, and were given what was due all
 * the same, had two GB of it, got a sixth to a half of their rate at .7 to 1 s/GB, and lost packets
 * for seconds on end. So a client is given no more while much of what it has is unsent
 * (TCP_NOTSENT_LOWAT): the same clients now get 92 to 98 % at .3 to .4 s/GB.
 *
 * The rates that are shared are booked (host/rate.h), once the connection itself may send. A
 * client that has been late, or was kept waiting by its TCP, catches up what it missed in one
 * second.
 */
#pragma once

#include <stdint.h>

#include "host/conn.h"

#ifndef SO_BUF_LOCK
#	define SO_BUF_LOCK 72 /* Linux 5.14, musl 1.2.4 */
#endif

/* A turn's share: enough that the turns cost nothing, little enough that the others wait for no
 * more than a millisecond or so. */
#define PACER_TURN_BYTES (2 * 1024 * 1024)

void pacer_init(struct worker *w);

/* A connection has come. */
void pacer_accept(struct conn *c);

/*
 * How many of the next `left` bytes may be sent now; 0: none, as this turn's share is used up or
 * the rates do not allow it; pacer_wait() then.
 */
int64_t pacer_may_send(struct conn *c, int64_t left, int64_t share);

/* The connection goes on when it may; `share` is what is left of its turn's. */
enum step pacer_wait(struct conn *c, int64_t share);

/* These have been sent. */
void pacer_sent(struct conn *c, int64_t bytes);

/* It sends nothing more of its object: others may have what it had booked. */
void pacer_leave(struct conn *c);

/* Serves those that may go on, each for its share of the turn. */
void pacer_run(struct worker *w);
