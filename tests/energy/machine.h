/* A machine whose RAPL has one package, as a tree written by hand (tests/energy/tree.h), and its
 * meter. */
#ifndef TESTS_ENERGY_MACHINE_H
#define TESTS_ENERGY_MACHINE_H

#include "energy/meter.h"
#include "tests/energy/tree.h"

/* The rows of its tree; a test may have more. */
#define MACHINE_FILES                                                                              \
	{"powercap/intel-rapl:0/name", "package-0\n"},                                             \
		{"powercap/intel-rapl:0/energy_uj", "1000000\n"},                                  \
		{"powercap/intel-rapl:0/max_energy_range_uj", "65532610987\n"},                    \
	{                                                                                          \
		"proc/stat", "cpu  0 0 0 9 0 0 0 0 0 0\ncpu0 0 0 0 9 0 0 0\n"                      \
	}

static char machine_powercap[512], machine_proc[512];

/* Of a meter that reads a new tree of these rows, and nothing of the machine that the test is on.
 */
static struct meter_options machine_meter(int scratch, const struct tree_file *file)
{
	struct meter_options o = meter_defaults();
	const char *root = tree_new(scratch, file);

	snprintf(machine_powercap, sizeof(machine_powercap), "%.480s/powercap", root);
	snprintf(machine_proc, sizeof(machine_proc), "%.480s/proc", root);
	o.powercap = machine_powercap;
	o.proc = machine_proc;
	o.pmu = "/nowhere";
	return o;
}

/* Two seconds later, with so much energy used. */
static void machine_pass(const char *energy_uj)
{
	tree_pass(2);
	tree_set(machine_powercap, "intel-rapl:0/energy_uj", energy_uj);
}

#endif
