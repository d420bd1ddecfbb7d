/*
 * The vCPUs of a VM: how busy they are, and how long they wait for a CPU of the host to run on, the
 * interference between VMs (and their own QEMU's I/O) that the design is about.
 *
 * Theory of operation. QEMU's monitor tells the threads (query-cpus-fast). It serves one client at
 * a time and may think for seconds, so a child asks it and the loop never waits. Their times are
 * then read from the kernel once a period: by taskstats, or from /proc/TID/schedstat where
 * taskstats does not tell the delay (it is off by default, sysctl kernel.task_delayacct). A thread
 * that is gone has the monitor asked again, for instance after the VM was started anew.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "control/netlink.h"

#define VCPUS_MAX      256
#define VCPUS_RETRY_NS 30000000000LL
#define VCPUS_ASK_NS   2000000000LL

/* The kernel's word on threads, one for all VMs. */
struct task_times {
	struct netlink netlink;
	int family;	/* of taskstats; negative: not there */
	bool schedstat; /* rather from /proc */
};

/* Names once what is not to be had. */
void task_times_open(struct task_times *times);
void task_times_close(struct task_times *times);

struct vcpus {
	struct loop *loop;
	struct watch answer; /* of the child's pipe; fd -1: none asked */
	int child;
	char monitor[512];
	int64_t retry_ns, since_ns;
	int tid[VCPUS_MAX];
	unsigned int count;
	uint64_t cpu_ns, delay_ns; /* sums of the threads, as of since_ns */
	double busy, delayed;	   /* of the last period, of each vCPU's time; 0: not known */
	double cpu_total_s, delay_total_s;
};

/* `monitor`: as memnet share's --qmp. */
void vcpus_init(struct vcpus *vcpus, struct loop *loop, const char *monitor);
void vcpus_close(struct vcpus *vcpus);

/* The same VM's, of another tuner: its threads and their times so far, if the monitor is the same.
 */
void vcpus_adopt(struct vcpus *vcpus, const struct vcpus *from);

/* Once a period. */
void vcpus_look(struct vcpus *vcpus, struct task_times *times, int64_t now_ns);
