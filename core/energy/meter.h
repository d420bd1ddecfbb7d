/*
 * What the whole machine uses, from the best source there is.
 *
 *	struct meter *meter;
 *	struct energy start, used;
 *
 *	meter_open(&meter, NULL, &e);
 *	if (*meter_note(meter))
 *		log_info("energy: %s", meter_note(meter));
 *	start = meter_read(meter);
 *	...
 *	used = energy_between(start, meter_read(meter));
 *	energy_per_gigabyte(used, bytes_sent);
 *
 * Theory of operation. meter_open() takes the first of powercap's RAPL zones, perf's power PMU and
 * the model that works, and stays with it: figures of two sources are never mixed in one sum. Why
 * no better one was taken is kept as a note, for the caller to say once. Everything it reads is
 * opened at once and held, so that a server opens it before it gives up its rights. A meter belongs
 * to one thread at a time, and several may be open. A timer has to read it at least every
 * meter_period_s().
 */
#pragma once

#include "base/error.h"
#include "energy/energy.h"
#include "energy/model.h"

struct meter;

struct meter_options {
	unsigned int sources; /* 1 << ENERGY_RAPL | …: those that may be taken; without
				 ENERGY_NONE there must be one */
	const char *powercap; /* where each looks */
	const char *pmu;
	const char *proc;
	struct model_watts watts;
};

#define METER_ALL (1U << ENERGY_RAPL | 1U << ENERGY_PERF | 1U << ENERGY_MODEL | 1U << ENERGY_NONE)

/* Every source, where the kernel has it, and the model's own watts. */
struct meter_options meter_defaults(void);

/*
 * `options` may be NULL: meter_defaults(). 0, also where no source works: each reading is then
 * unknown, and the note says why. -EINVAL for watts that make no model; -ENODEV where no source
 * works and `sources` has no ENERGY_NONE, with the note in `e`; -ENOMEM.
 */
int meter_open(struct meter **meter, const struct meter_options *options, struct mn_error *e);
void meter_close(struct meter *meter); /* NULL is let be */

/*
 * Joules since meter_open(). NAN with the source's name while that cannot be read; the count goes
 * on when it can be again, with a gap if something was missed.
 */
struct energy meter_read(struct meter *meter);

enum energy_source meter_source(const struct meter *meter);

/*
 * What the source counts: "package-0, package-0/dram", "perf counters: 2", "5 W idle, 5 W for each
 * busy CPU", "nothing". To stand beside the first figure: a model without its watts says nothing.
 */
const char *meter_describe(const struct meter *meter, char *buf, size_t size);

/*
 * One line for the log: why the source is not a better one, and once a reading has gaps, what is
 * missing. "" where there is nothing to say. Changes with meter_read() only.
 */
const char *meter_note(const struct meter *meter);

/* The longest time between two readings that loses nothing, in seconds; INFINITY: any. */
double meter_period_s(const struct meter *meter);
