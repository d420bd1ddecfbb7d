/*
 * How fast a space drains: measured, as nobody can tell how several spaces divide a link.
 *
 * What is sent says something of the drain only while clients have something to take. So bytes and
 * time are added up while they do, and each second of that is a sample. All clients together are as
 * fast as the fastest samples, which fade slowly: with few clients it is they who are slow. One
 * client is as fast as the average.
 */
#pragma once

#include <stdint.h>

struct drain {
	double bps, client_bps;		  /* 0: not known yet */
	double window_s, bytes, client_s; /* of the sample under way */
};

/* dt_s have passed in which so much was sent to `clients` who had something to take all along. */
void drain_take(struct drain *drain, uint64_t sent_bytes, uint64_t clients, double dt_s);
