/*
 * The section [energy] of the configuration:
 *
 *	[energy]
 *	source = auto        # or rapl, perf, model: that one or an error; none
 *	idle_watts = 85      # the model's: the whole machine at rest
 *	core_watts = 4.2     # and what each busy CPU adds
 */
#pragma once

#include "base/error.h"
#include "cmd/command.h"
#include "energy/meter.h"

/*
 * meter_defaults() with what the section says instead. 0, or -errno: a file that cannot be read, an
 * unknown key, a value out of range.
 */
int config_energy(const struct common *common, struct meter_options *options, struct mn_error *e);
