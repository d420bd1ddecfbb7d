/* The host's memory and its pressure, on trees written by hand, and without. */
#include "control/host_memory.h"

#include "tests/energy/tree.h"
#include "tests/tap.h"

static const struct tree_file linux_6[] = {
	{"meminfo", "MemTotal:       65792228 kB\nMemFree:         1024000 kB\n"
		    "MemAvailable:   20480000 kB\nBuffers:          123456 kB\n"},
	{"pressure/memory", "some avg10=0.00 avg60=0.12 avg300=0.05 total=2500000\n"
			    "full avg10=0.00 avg60=0.00 avg300=0.00 total=1250000\n"},
	{NULL, NULL},
};

static const struct tree_file nonsense[] = {
	{"meminfo", "MemTotal: many kB\nMemAvailable: -1 kB\n"},
	{"pressure/memory", "some avg10=0.00\n"},
	{NULL, NULL},
};

static const struct tree_file nothing[] = {{"version", "Linux\n"}, {NULL, NULL}};

int main(void)
{
	int scratch = scratch_open();
	struct host_memory m;

	host_memory_init(&m, tree_new(scratch, linux_6));
	host_memory_look(&m, 20480000ULL * 1024);
	ok(m.total_bytes == 65792228ULL * 1024 && m.available_bytes == 20480000ULL * 1024,
	   "what there is, and what is left");
	ok(m.pressure && near(m.some_s, 2.5) && near(m.full_s, 1.25), "time lost");
	ok(!m.scarce, "enough for what was promised");
	host_memory_look(&m, 20480000ULL * 1024 + 1);
	ok(m.scarce, "not enough");
	host_memory_look(&m, 0);
	ok(!m.scarce, "enough again");
	host_memory_init(&m, tree_new(scratch, nonsense));
	host_memory_look(&m, 1);
	ok(!m.total_bytes && !m.pressure && !m.scarce, "nonsense is nothing");
	host_memory_init(&m, tree_new(scratch, nothing));
	host_memory_look(&m, 1);
	ok(m.no_memory && m.no_pressure && !m.scarce, "what is not there is done without");
	host_memory_look(&m, 1);
	ok(!m.total_bytes && !m.pressure, "and stays unknown");
	close(scratch);
	return done_testing();
}
