/*
 * When a connection may send: its share of a turn, and --rate.
 *
 * What could go on but has had its share of the turn is `runnable` and goes on after the next batch
 * of events; what may not for --rate's sake is `throttled` until there is an allowance again.
 */
#pragma once

#include <stdint.h>

#include "host/conn.h"

/* A turn's share: enough that the turns cost nothing, little enough that the others wait for no
 * more than a millisecond or so. */
#define PACER_TURN_BYTES (2 * 1024 * 1024)

void pacer_init(struct worker *w);

/* Bytes that may be sent now; 0: this turn's share is used up, or all that --rate allows. */
int64_t pacer_may_send(struct conn *c, int64_t share);

/* The connection goes on when it may; `share` is what is left of its turn's. */
enum step pacer_wait(struct conn *c, int64_t share);

/* Serves those that may go on. */
void pacer_run(struct worker *w);
