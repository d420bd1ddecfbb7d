/*
 * One process' part of what the machine uses: a VM's, by its QEMU, or our own.
 *
 * Theory of operation. Energy counters know packages, not processes. So between two readings a
 * process is given the share of the machine's joules that its threads had of all busy CPU time,
 * vCPUs and I/O threads alike:
 *
 *	joules += machine joules * process CPU seconds / busy CPU seconds
 *
 * Idle power is thereby spread over those who ran, in the same proportion: all shares together are
 * the machine's figure. It is an estimate and says so. It cannot see that one thread's seconds cost
 * more than another's, nor what the kernel does for a VM outside of its process: interrupts, and
 * before Linux 6.4 vhost's threads. Read it about once a second, as the power changes from one
 * interval to the next; an interval in which no tick of CPU time was counted waits for the next.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "energy/energy.h"

struct consumer {
	int process, stat;     /* descriptors of the process' and the machine's CPU times */
	double cpu_s, busy_s;  /* at the last reading */
	struct energy machine; /* the meter's at the last reading */
	struct energy used;
};

/*
 * Starts to count for the process; `machine` is the meter's reading of now, `proc` is "/proc". 0;
 * -ESRCH without such a process; else -errno. consumer_close() takes it in each case.
 */
int consumer_open(struct consumer *consumer, const char *proc, pid_t pid, struct energy machine);
void consumer_close(struct consumer *consumer);

/*
 * Puts the process' joules since consumer_open() into *used, given a new reading of the same meter.
 * They are estimated; NAN until there was an interval to share; each interval that could not be
 * shared is a gap. 0; -ESRCH when the process has ended, *used then being what it had used before;
 * else -errno likewise.
 */
int consumer_read(struct consumer *consumer, struct energy machine, struct energy *used);
