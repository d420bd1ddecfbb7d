/* The network interface by which the streams leave: what it has sent, and how fast it is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/netlink.h"

struct uplink {
	struct netlink netlink;
	char device[16]; /* "": none */
	bool up;
	uint64_t sent_bytes, dropped; /* packets, since the interface came up */
	double speed_bps;	      /* bytes a second; 0: not known, or without limit */
	uint64_t before_bytes;
	int64_t since_ns;
	double busy; /* of its speed, in the last period; 0: not known */
};

/* `device` "": that of the default route, if there is one. What is not there is told at -v. */
void uplink_open(struct uplink *uplink, const char *device);
void uplink_close(struct uplink *uplink);

/* Once a period. */
void uplink_look(struct uplink *uplink, int64_t now_ns);
