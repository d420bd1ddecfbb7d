/*
 * The processor's own energy counters, through powercap (Documentation/power/powercap).
 *
 * Theory of operation. Below /sys/class/powercap each zone is a folder `intel-rapl:0` (AMD's are
 * called so, too), each sub-zone one `intel-rapl:0:2`, with its name, a counter in microjoules and
 * the range after which that wraps. Zones overlap, so that adding them all up counts twice:
 *
 *	psys                    the whole board, where the vendor wired it up
 *	  package-0             a socket (package-0-die-1: a die of one)
 *	    core, uncore        parts of that package
 *	    dram                beneath the package by name only: its memory, not in its counter
 *
 * What is counted: every package, and the dram of each. psys counts where there is no package at
 * all, else not: few boards have it, what it covers differs between them, and packages and dram are
 * what moves with the work. core, uncore and any name not known here are parts of something else.
 * The same package may show twice, through MSRs (`intel-rapl`) and through MMIO
 * (`intel-rapl-mmio`): a name counts once, the control type with the shorter name first.
 *
 * A package that cannot be read at the start makes the whole source unusable, since the sum would
 * then not be the machine's. Later on a zone may go, when the last CPU of its package goes offline,
 * and come back: what it counted stays, what it used meanwhile is lost, and each reading until it
 * is back has a gap. Zones that are new after the start are not looked for.
 *
 * The counters are held open, so that a server which has given up its rights since can read them;
 * only one that comes back is then lost for good.
 *
 * A wrap shows as a counter that went back, once. Two of them look like one, and a counter that was
 * reset (its driver reloaded) looks like one too; what is left to tell is the time. So a zone is
 * taken to use at most RAPL_WATTS_MAX: more than that since the last reading was no wrap, and in a
 * longer time than a whole range takes there may have been one more. Both are gaps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define RAPL_ROOT      "/sys/class/powercap"
#define RAPL_ZONES     128
#define RAPL_WATTS_MAX 1000.0 /* of one zone; sockets of 2025 are limited to about half of it */

struct rapl_zone {
	char dir[48];  /* "intel-rapl:0:2" */
	char name[80]; /* "package-0/dram" */
	uint64_t last_uj, range_uj;
	int fd; /* of energy_uj; -1: lost */
};

struct rapl {
	int rootfd;
	size_t count;
	struct rapl_zone zone[RAPL_ZONES];
	int64_t read_ns;
	double joules;
	unsigned int gaps; /* zones times readings that did not count all */
	char lost[160];	   /* the first of them */
};

/*
 * Finds the zones below `root` and starts to count. 0; -ENOENT where there are none; -EACCES where
 * they may not be read (by root only, since Linux 5.10); -EBADMSG for what is no counter; else
 * -errno: `e` names the first file that is in the way. rapl_close() takes it in each case.
 */
int rapl_open(struct rapl *rapl, const char *root, struct mn_error *e);
void rapl_close(struct rapl *rapl);

/*
 * Adds what was used since the last call to rapl->joules. 0, or -ENODEV where no zone is left to
 * read, which may pass.
 */
int rapl_read(struct rapl *rapl);

/* Read it more often than this, in seconds, or a wrap may be missed. */
double rapl_period_s(const struct rapl *rapl);
