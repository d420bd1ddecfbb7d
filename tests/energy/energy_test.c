/* Figures of energy: what each says of its source, and that what is unknown never reads as 0. */
#include "energy/energy.h"

#include <errno.h>
#include <math.h>

#include "tests/tap.h"

static bool near(double got, double want)
{
	return fabs(got - want) <= 1e-9 * fabs(want);
}

static void names(void)
{
	static const char *const all[ENERGY_SOURCES] = {"none", "model", "perf", "rapl"};
	enum energy_source source;

	for (int i = 0; i < ENERGY_SOURCES; i++) {
		is_str(energy_source_name((enum energy_source)i), all[i], "source %d", i);
		is_int(energy_source_parse(all[i], &source), 0, "\"%s\" is one", all[i]);
		is_int(source, i, "that one");
	}
	is_int(energy_source_parse("RAPL", &source), -EINVAL, "there are no others");
}

static void formats(void)
{
	static const struct {
		struct energy energy;
		const char *text;
	} row[] = {
		{{12.34, ENERGY_RAPL, false, 0}, "12.3 J (rapl)"},
		{{12345678, ENERGY_PERF, false, 0}, "12345678 J (perf)"},
		{{0.4142, ENERGY_MODEL, true, 2}, "0.414 J (model, estimated, partial)"},
		{{0, ENERGY_RAPL, false, 0}, "0 J (rapl)"},
		{{NAN, ENERGY_RAPL, false, 1}, "unknown (rapl, partial)"},
	};
	char buf[64];

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		is_str(energy_format(row[i].energy, buf, sizeof(buf)), row[i].text, "%s",
		       row[i].text);
	is_str(energy_format(ENERGY_UNKNOWN, buf, sizeof(buf)), "unknown (none)", "no figure");
}

static void differences(void)
{
	struct energy before = {10, ENERGY_RAPL, false, 1};
	struct energy now = {25, ENERGY_RAPL, false, 3};
	struct energy used = energy_between(before, now);

	ok(near(used.joules, 15), "the difference of two readings");
	is_int(used.source, ENERGY_RAPL, "from the same source");
	is_int(used.gaps, 2, "and the gaps between them");
	is_int(energy_between(now, now).gaps, 0, "not those before");
	used = energy_between(ENERGY_UNKNOWN, now);
	ok(isnan(used.joules) && used.source == ENERGY_NONE, "nothing less something is unknown");
	used = energy_between(ENERGY_UNKNOWN, ENERGY_UNKNOWN);
	ok(isnan(used.joules), "and so is nothing less nothing");
}

static void ratios(void)
{
	struct energy total = {600, ENERGY_MODEL, true, 0};
	struct energy each = energy_per(total, 4);

	ok(near(each.joules, 150), "600 J for 4 jobs");
	ok(each.source == ENERGY_MODEL && each.estimated, "say the same of their source");
	ok(near(energy_per_gigabyte(total, 1500000000).joules, 400), "600 J for 1.5 GB");
	/* 75 MB in 30 s are 20 Mbit/s. */
	ok(near(energy_clients(75000000, 30), 10), "ten clients of 2 Mbit/s");
	ok(near(energy_per_client(total, 75000000, 30).joules, 60), "600 J for ten");
	ok(isnan(energy_per(total, 0).joules), "600 J for no job have no figure");
	ok(isnan(energy_per(total, -1).joules) && isnan(energy_per(total, NAN).joules),
	   "nor for a nonsense number of them");
	ok(isnan(energy_per_gigabyte(total, 0).joules), "nor for no byte");
	ok(isnan(energy_per_client(total, 0, 30).joules), "nor for no client");
	ok(isnan(energy_per_client(total, 75000000, 0).joules), "nor in no time");
	ok(isnan(energy_per(ENERGY_UNKNOWN, 4).joules), "the unknown stays unknown");
}

int main(void)
{
	names();
	formats();
	differences();
	ratios();
	return done_testing();
}
