/*
 * The processor's energy counters through perf's PMU called `power`, for kernels without powercap.
 *
 * Theory of operation. The PMU's folder tells all of it: `type` for perf_event_open(2), `cpumask`
 * one CPU of each package (or die), and below events/ for each counter `energy-pkg` its number, the
 * joules of one count in `energy-pkg.scale` and the unit in `energy-pkg.unit`. One event is opened
 * for each counter and CPU of the mask. What is counted follows energy/rapl.h: energy-pkg and, if
 * there, energy-ram; energy-psys where there is no energy-pkg; energy-cores and energy-gpu never.
 * The kernel keeps the counts in 64 bits, so nothing wraps, and moves an event to another CPU of
 * its package when its own goes offline. Needs CAP_PERFMON, or perf_event_paranoid of 0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PERF_ROOT     "/sys/bus/event_source/devices/power"
#define PERF_COUNTERS 128

struct perf_counter {
	int fd;
	double scale; /* joules of one count */
	uint64_t last;
};

struct perf {
	size_t count;
	struct perf_counter counter[PERF_COUNTERS];
	double joules;
	unsigned int gaps; /* how often a counter could not be read */
};

/*
 * Opens the counters of the PMU in the folder `root` and starts them. 0; -ENOENT where there is
 * none; -EACCES or -EPERM where they may not be opened; -EBADMSG for a file that is not understood;
 * else -errno: `e` names what is in the way. perf_close() takes it in each case.
 */
int perf_open(struct perf *perf, const char *root, struct mn_error *e);
void perf_close(struct perf *perf);

/* Adds what was used since the last call to perf->joules. 0, or -ENODEV where no counter is left.
 */
int perf_read(struct perf *perf);

/* "0,28" or "0-3,8": the CPUs in a list as the kernel writes it. How many, or -EBADMSG, -E2BIG. */
int perf_parse_cpus(const char *list, int *cpu, size_t room);
