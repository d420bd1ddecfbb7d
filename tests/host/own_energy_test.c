/* The server's figures of energy, on a tree written by hand: with their source, and never a silent
 * 0. */
#include "host/own_energy.h"

#include <errno.h>

#include "tests/energy/machine.h"
#include "tests/tap.h"

static const struct tree_file machine[] = {
	MACHINE_FILES,
	{NULL, NULL},
};

/* Whether the figures, for so many bytes sent, have this line. */
static bool has(const struct own_energy *energy, uint64_t sent_bytes, const char *line)
{
	char text[4096] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");
	bool found;

	own_energy_print(energy, sent_bytes, tree_now_ns, f);
	fclose(f);
	found = strstr(text, line) != NULL;
	if (!found)
		diag("%s", text);
	return found;
}

int main(void)
{
	int scratch = scratch_open();
	struct meter_options o = machine_meter(scratch, machine);
	struct mn_error e = MN_ERROR_INIT;
	struct own_energy energy;

	clock_use(tree_clock);
	tree_cpu(machine_proc, (int)getpid(), 100, 10);
	is_int(own_energy_open(&energy, &o, &e), 0, "a machine with RAPL");
	ok(has(&energy, 0, "memnet_energy_joules_per_gigabyte{source=\"rapl\"} NaN\n"),
	   "nothing is known yet");
	machine_pass("41000000\n");
	tree_cpu(machine_proc, (int)getpid(), 104, 11);
	own_energy_read(&energy);
	ok(has(&energy, 500000000, "memnet_energy_joules_total{source=\"rapl\"} 10.000000\n"),
	   "a quarter of 40 J");
	ok(has(&energy, 500000000, "memnet_energy_joules_per_gigabyte{source=\"rapl\"} 20\n"),
	   "by half a gigabyte");
	/* 500 MB in 2 s are 1000 clients of 2 Mbit/s. */
	ok(has(&energy, 500000000, "memnet_energy_joules_per_client{source=\"rapl\"} 0.01\n"),
	   "by clients");
	ok(has(&energy, 0, "memnet_energy_joules_per_gigabyte{source=\"rapl\"} NaN\n"),
	   "by nothing there is no figure");
	own_energy_close(&energy);

	o.sources = 1U << ENERGY_NONE;
	is_int(own_energy_open(&energy, &o, &e), 0, "none");
	ok(has(&energy, 1, "memnet_energy_joules_per_client{source=\"none\"} NaN\n"), "is said");
	own_energy_close(&energy);
	o.sources = 1U << ENERGY_PERF;
	is_int(own_energy_open(&energy, &o, &e), -ENODEV, "a source that is not there is refused");
	own_energy_close(&energy);
	is_int(own_energy_open(&energy, NULL, &e), 0, "not wanted");
	own_energy_read(&energy);
	own_energy_close(&energy);
	close(scratch);
	return done_testing();
}
