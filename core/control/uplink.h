/* The network interface by which the streams leave: what it has sent, and how fast it is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "control/netlink.h"

struct uplink {
	struct netlink netlink;
	char device[16]; /* "": none */
	bool told;	 /* the device is the administrator's, not that of the default route */
	int64_t find_ns; /* when to look for a default route again */
	bool up;
	uint64_t sent_bytes, dropped; /* packets, since the interface came up */
	double speed_bps;	      /* bytes a second; 0: not known, or without limit */
	uint64_t before_bytes;
	int64_t since_ns;
	double busy; /* of its speed, in the last period; 0: not known */
};

/*
 * `device` "": that of the default route, which is looked for again while there is none or while
 * its device is gone. What is not there is told at -v.
 */
void uplink_open(struct uplink *uplink, const char *device);
void uplink_close(struct uplink *uplink);

#define UPLINK_FIND_NS (30 * NS_PER_S)

/* Once a period. */
void uplink_look(struct uplink *uplink, int64_t now_ns);
