/*
 * The streams' TCP connections, as the kernel has them (sock_diag, inet_diag): how many clients
 * there are, how fast their paths take what is sent, what is on its way.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/netlink.h"

struct connections {
	struct netlink netlink;
	bool absent; /* told once */
	unsigned int count;
	uint64_t unacked_bytes;	   /* sent or waiting in the socket */
	uint64_t retransmitted;	   /* segments, of those that are open now */
	double delivery_bps;	   /* mean of those that their path limits; 0: not known */
	double round_trip_s;	   /* mean; 0: none */
	unsigned int limited;	   /* how many of them their path limits, and not what we send */
	double sum_bps, sum_rtt_s; /* while an answer is read */
};

void connections_open(struct connections *connections);
void connections_close(struct connections *connections);

/* Those with this local port, once a period. */
void connections_look(struct connections *connections, uint16_t port);
