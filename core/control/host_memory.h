/*
 * The host's own memory: what is left of it, and for how long its tasks stood still for want of it
 * (PSI). Facts for the figures, and for one warning: sizes are promises, and a host that has less
 * than its spaces may still take cannot keep them. Sizes do not follow it: a budget is the
 * administrator's word.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct host_memory {
	const char *proc;
	bool no_memory, no_pressure;	       /* named once, and done without */
	uint64_t total_bytes, available_bytes; /* 0: not known */
	bool pressure;			       /* the two below are known */
	double some_s, full_s; /* since boot, in which some task, or all, waited for memory */
	bool scarce;	       /* told */
};

/* `proc` is "/proc". */
void host_memory_init(struct host_memory *memory, const char *proc);

/* Once a period; `promised_bytes` is what the spaces may still take. Warns when that is not there.
 */
void host_memory_look(struct host_memory *memory, uint64_t promised_bytes);
