/* The server's figures of energy, on a recorded tree: with their source, and never a silent 0. */
#include "host/own_energy.h"

#include <errno.h>

#include "tests/energy/tree.h"
#include "tests/tap.h"

static const struct tree_file machine[] = {
	{"powercap/intel-rapl:0/name", "package-0\n"},
	{"powercap/intel-rapl:0/energy_uj", "1000000\n"},
	{"powercap/intel-rapl:0/max_energy_range_uj", "65532610987\n"},
	{"proc/stat", "cpu  0 0 0 9 0 0 0 0 0 0\ncpu0 0 0 0 9 0 0 0\n"},
	{NULL, NULL},
};

static char powercap[512], proc[512];

static struct meter_options options(int scratch)
{
	struct meter_options o = meter_defaults();
	const char *root = tree_new(scratch, machine);

	snprintf(powercap, sizeof(powercap), "%.480s/powercap", root);
	snprintf(proc, sizeof(proc), "%.480s/proc", root);
	o.powercap = powercap;
	o.proc = proc;
	o.pmu = "/nowhere";
	return o;
}

static void set_cpu(double busy_s, double cpu_s)
{
	unsigned int hz = (unsigned int)sysconf(_SC_CLK_TCK);
	char path[64], text[256];

	snprintf(text, sizeof(text), "cpu  %.0f 0 0 9 0 0 0 0 0 0\ncpu0 0 0 0 9 0 0 0\n",
		 busy_s * hz);
	tree_set(proc, "stat", text);
	snprintf(path, sizeof(path), "%d/stat", (int)getpid());
	snprintf(text, sizeof(text), "%d (memnet) S 1 2 3 4 5 6 7 8 9 10 %.0f 0 0 0 20 0 3 0 7 1\n",
		 (int)getpid(), cpu_s * hz);
	tree_set(proc, path, text);
}

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
	struct meter_options o = options(scratch);
	struct mn_error e = MN_ERROR_INIT;
	struct own_energy energy;

	clock_use(tree_clock);
	set_cpu(100, 10);
	is_int(own_energy_open(&energy, &o, &e), 0, "a machine with RAPL");
	ok(has(&energy, 0, "memnet_energy_joules_per_gigabyte{source=\"rapl\"} NaN\n"),
	   "nothing is known yet");
	tree_pass(2);
	tree_set(powercap, "intel-rapl:0/energy_uj", "41000000\n");
	set_cpu(104, 11);
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
