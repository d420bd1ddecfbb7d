/* Which source a meter takes, what it says of those it did not, and that it never says a silent 0.
 */
#include "energy/meter.h"

#include <errno.h>

#include "tests/energy/tree.h"
#include "tests/tap.h"

static int scratch;

static const char machine_stat[] = "cpu  0 0 0 9 0 0 0 0 0 0\ncpu0 0 0 0 9 0 0 0\n";

/* A whole machine: /sys/class/powercap, the PMU (the kernel's cpu-clock by its name) and /proc. */
static const struct tree_file machine[] = {
	{"powercap/intel-rapl:0/name", "package-0\n"},
	{"powercap/intel-rapl:0/energy_uj", "1000000\n"},
	{"powercap/intel-rapl:0/max_energy_range_uj", "65532610987\n"},
	{"powercap/intel-rapl:0:0/name", "dram\n"},
	{"powercap/intel-rapl:0:0/energy_uj", "0\n"},
	{"powercap/intel-rapl:0:0/max_energy_range_uj", "65532610987\n"},
	{"power/type", "1\n"},
	{"power/cpumask", "0\n"},
	{"power/events/energy-pkg", "event=0x00\n"},
	{"power/events/energy-pkg.scale", "1e-9\n"},
	{"power/events/energy-pkg.unit", "Joules\n"},
	{"proc/stat", machine_stat},
	{NULL, NULL},
};

static char powercap[512], pmu[512], proc[512];

static struct meter_options options(void)
{
	const char *root = tree_new(scratch, machine);
	struct meter_options o = meter_defaults();

	snprintf(powercap, sizeof(powercap), "%.480s/powercap", root);
	snprintf(pmu, sizeof(pmu), "%.480s/power", root);
	snprintf(proc, sizeof(proc), "%.480s/proc", root);
	o.powercap = powercap;
	o.pmu = pmu;
	o.proc = proc;
	return o;
}

static struct meter *open_meter(const struct meter_options *o, enum energy_source want)
{
	struct mn_error e = MN_ERROR_INIT;
	struct meter *m;

	if (meter_open(&m, o, &e)) {
		diag("%s", e.text);
		abort();
	}
	is_int(meter_source(m), want, "from %s", energy_source_name(want));
	return m;
}

static void rapl_first(void)
{
	struct meter_options o = options();
	struct meter *m = open_meter(&o, ENERGY_RAPL);
	struct energy energy;
	char text[128];

	is_str(meter_note(m), "", "of which there is nothing to say");
	is_str(meter_describe(m, text, sizeof(text)), "package-0, package-0/dram", "but what of");
	is_str(meter_describe(m, text, 12), "package-0, ", "as far as there is room");
	ok(near(meter_period_s(m), 65.532610987), "to be read before it can wrap");
	tree_set(powercap, "intel-rapl:0/energy_uj", "3500000\n");
	tree_pass(1);
	energy = meter_read(m);
	ok(near(energy.joules, 2.5) && energy.source == ENERGY_RAPL, "2.5 J");
	ok(!energy.estimated && !energy.gaps, "measured, all of it");
	tree_set(powercap, "intel-rapl:0/energy_uj", "gone\n");
	tree_set(powercap, "intel-rapl:0:0/energy_uj", "1000000\n");
	energy = meter_read(m);
	ok(near(energy.joules, 3.5) && energy.gaps == 1, "a lost zone is a gap");
	is_str(meter_note(m), "partial: package-0 (intel-rapl:0): no number", "which is noted");
	tree_set(powercap, "intel-rapl:0:0/energy_uj", "gone\n");
	energy = meter_read(m);
	ok(isnan(energy.joules) && energy.source == ENERGY_RAPL, "without any there is no figure");
	is_str(meter_note(m), "partial: package-0 (intel-rapl:0): no number", "noted once");
	meter_close(m);
}

static void perf_second(void)
{
	struct meter_options o = options();
	struct mn_error e = MN_ERROR_INIT;
	struct meter *m;
	char text[128];

	o.sources = 1U << ENERGY_PERF;
	if (meter_open(&m, &o, &e)) {
		skip(5, e.text);
		return;
	}
	meter_close(m);
	o.sources = METER_ALL;
	o.powercap = "/nonexistent";
	m = open_meter(&o, ENERGY_PERF);
	is_str(meter_note(m), "rapl: /nonexistent: No such file or directory", "and why");
	is_str(meter_describe(m, text, sizeof(text)), "perf counters: 1", "what of");
	ok(!isnan(meter_read(m).joules), "it reads");
	ok(isinf(meter_period_s(m)), "as seldom as one likes");
	meter_close(m);
}

static void model_third(void)
{
	struct meter_options o = options();
	struct energy energy;
	struct meter *m;
	char text[128];

	tree_set(powercap, "intel-rapl:0/max_energy_range_uj", "\n");
	o.pmu = "/nonexistent";
	o.watts.idle_watts = 40;
	m = open_meter(&o, ENERGY_MODEL);
	ok(strstr(meter_note(m), "/max_energy_range_uj: ") &&
		   strstr(meter_note(m), "; perf: /nonexistent: No such file"),
	   "%s", meter_note(m));
	is_str(meter_describe(m, text, sizeof(text)), "40 W idle, 5 W for each busy CPU",
	       "it states its watts");
	tree_pass(2);
	energy = meter_read(m);
	ok(near(energy.joules, 80) && energy.source == ENERGY_MODEL, "two idle seconds");
	tree_set(proc, "stat", "");
	ok(isnan(meter_read(m).joules), "without CPU times there is no figure");
	meter_close(m);

	tree_set(proc, "stat", machine_stat);
	o.watts.idle_watts = -1;
	is_int(meter_open(&m, &o, NULL), -EINVAL, "wrong watts are told");
	ok(!m, "and there is no meter");
	meter_close(m);
}

static void none_at_last(void)
{
	struct meter_options o = options();
	struct mn_error e = MN_ERROR_INIT;
	struct meter *m;
	char text[128];

	o.sources = 1U << ENERGY_NONE;
	m = open_meter(&o, ENERGY_NONE);
	ok(isnan(meter_read(m).joules), "is no figure, not 0");
	is_str(energy_format(meter_read(m), text, sizeof(text)), "unknown (none)", "nor looks so");
	is_str(meter_describe(m, text, sizeof(text)), "nothing", "of nothing");
	meter_close(m);

	o.sources = 1U << ENERGY_RAPL;
	o.powercap = "/nonexistent";
	is_int(meter_open(&m, &o, &e), -ENODEV, "who wants RAPL only is told");
	is_str(e.text, "energy: no source: rapl: /nonexistent: No such file or directory", "why");
	meter_close(m);
}

/* Whatever this machine has. */
static void here(void)
{
	struct meter *m;
	struct energy energy;
	char text[64], what[512];

	clock_use(NULL);
	is_int(meter_open(&m, NULL, NULL), 0, "here");
	energy = meter_read(m);
	ok(isnan(energy.joules) == (energy.source == ENERGY_NONE), "%s: %s",
	   energy_format(energy, text, sizeof(text)), meter_describe(m, what, sizeof(what)));
	if (*meter_note(m))
		diag("%s", meter_note(m));
	meter_close(m);
}

int main(void)
{
	scratch = scratch_open();
	clock_use(tree_clock);
	rapl_first();
	perf_second();
	model_third();
	none_at_last();
	here();
	return done_testing();
}
