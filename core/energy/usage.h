/*
 * CPU time, from /proc: what the model multiplies and what a VM's share is made of. The kernel
 * tells it in ticks of 10 ms, so that a share over less than a second is rough.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define USAGE_PROC "/proc"

struct machine_usage {
	double busy_s;	   /* of all CPUs since boot: not idle, not waiting, not stolen from us */
	unsigned int cpus; /* that are online */
};

/* From PROC/stat. 0, or -errno; -EBADMSG for what it is not. */
int usage_machine(const char *proc, struct machine_usage *usage);

struct process_usage {
	double cpu_s;	  /* of all its threads, those that have ended included */
	uint64_t started; /* ticks since boot: tells it from a later process of the same number */
};

/*
 * From PROC/PID/stat; -ESRCH where there is no such process. Not the sum over PROC/PID/task/: there
 * a thread's time vanishes with it, and QEMU's I/O threads come and go.
 */
int usage_process(const char *proc, pid_t pid, struct process_usage *usage);
