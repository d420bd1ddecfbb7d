/*
 * The one device of a VM's pool: virtio-9p over the fsdev that the VM was started with.
 *
 * An fsdev cannot be made on a running VM, but its device can come and go. `memnet share qemu-args`
 * declares the fsdev and, where the machine needs one, a free PCIe root port; these are the names
 * both sides agree on. Where the device stands is read from QEMU's object tree: query-pci shows
 * nothing behind a port that no guest has set up yet, and device_add into an occupied port answers
 * success for a device that the guest never sees.
 */
#pragma once

#include <stdbool.h>

#include "qmp/qmp.h"

#define DEVICE_ID    "memnet"
#define DEVICE_FSDEV "memnet"
#define DEVICE_PORT  "memnet-port"
#define DEVICE_TAG   "memnet"

/* How far the guest has come with the device, from the virtio status its driver writes. */
enum device_driver {
	DRIVER_UNKNOWN, /* QEMU before 7.2 cannot tell */
	DRIVER_UNSEEN,	/* no guest, or it has not looked */
	DRIVER_MISSING, /* seen, but no driver took it: no 9pnet_virtio */
	DRIVER_FAILED,
	DRIVER_READY,
};

struct device_state {
	bool running; /* the vCPUs run */
	char run_state[32];
	bool plugged;
	enum device_driver driver;
	bool mounted;	   /* in the guest; this blocks migration */
	char blocker[200]; /* why QEMU would not migrate, "" if it would */
};

/* "unseen", "ready", …: for people and JSON. */
const char *device_driver_name(enum device_driver driver);

/* 0 or -errno as qmp_call(). */
int device_look(struct qmp *q, struct device_state *state, struct mn_error *e);

/* Whether the VM has the device. 1, 0 or -errno. */
int device_plugged(struct qmp *q, struct mn_error *e);

/*
 * Where the device can be plugged: the name of a free bus, in `bus`. 0; -EBUSY with MN_BUSY when
 * every port is taken; -ENODEV when the machine has none; or -errno.
 */
#define DEVICE_BUS_MAX 64
int device_find_bus(struct qmp *q, char bus[DEVICE_BUS_MAX], struct mn_error *e);

/* Plugs the device unless it is there. 1 if it was plugged now, 0 if it was there, or -errno. */
int device_plug(struct qmp *q, struct mn_error *e);

/* Waits until the guest's driver runs. 0; -ETIMEDOUT with MN_TIMEOUT and the cause; or -errno. */
int device_wait_ready(struct qmp *q, struct mn_error *e);

/* Waits until the guest has it mounted no more. 0; -EBUSY with MN_BUSY while it has; or -errno. */
int device_wait_unmounted(struct qmp *q, struct mn_error *e);

/*
 * Unplugs the device and waits until it is gone. 0, also where there was none; -EBUSY with MN_BUSY
 * while the guest has it mounted, -ETIMEDOUT with MN_TIMEOUT while the guest does not let go, or
 * -errno.
 */
int device_unplug(struct qmp *q, struct mn_error *e);
