/*
 * What the VMs use of the machine's energy: each the share, by CPU time, that all threads of its
 * QEMU had (energy/consumer.h). Estimated, and every figure says from what. Read once a period.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "energy/consumer.h"
#include "energy/meter.h"

/* The machine's. */
struct power {
	struct meter *meter;   /* NULL: none */
	struct energy machine; /* since power_open() */
	const char *proc;
};

/* A VM's. */
struct power_vm {
	pid_t pid; /* of its QEMU; 0: not known */
	struct consumer consumer;
	struct energy ended;  /* what those before the present QEMU used */
	struct energy total;  /* since the start; NAN: not known */
	struct energy period; /* of these, since the last look */
};

/* `options` with no source at all: none. 0 or -errno with *e. power_close() takes any outcome. */
int power_open(struct power *power, const struct meter_options *options, struct mn_error *e);
void power_close(struct power *power);

/* Once a period, before the VMs are looked at. */
void power_look(struct power *power);

void power_vm_init(struct power_vm *vm);
void power_vm_close(struct power_vm *vm);

/* `tid` is any thread of its QEMU; 0: not known now. */
void power_vm_look(struct power_vm *vm, const struct power *power, int tid);
