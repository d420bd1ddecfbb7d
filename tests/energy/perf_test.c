/*
 * The power PMU: what its folder may hold, and a counter that really counts. No machine of ours has
 * that PMU, so the tree calls the kernel's own `cpu-clock` (type 1, config 0, nanoseconds) by its
 * name: a joule is then a second.
 */
#include "energy/perf.h"

#include <errno.h>
#include <time.h>

#include "tests/energy/tree.h"
#include "tests/tap.h"

static int scratch;

static const struct tree_file clock_pmu[] = {
	{"type", "1\n"},
	{"cpumask", "0\n"},
	{"events/energy-pkg", "event=0x00\n"},
	{"events/energy-pkg.scale", "1e-9\n"},
	{"events/energy-pkg.unit", "Joules\n"},
	{"events/energy-ram", "event=0x00\n"},
	{"events/energy-ram.scale", "2e-9\n"},
	{"events/energy-ram.unit", "Joules\n"},
	{"events/energy-cores", "event=0x01\n"},
	{"events/energy-psys", "event=0x05\n"},
	{NULL, NULL},
};

static void cpu_lists(void)
{
	static const struct {
		const char *list;
		int count, last;
	} good[] = {{"0", 1, 0}, {"0,28", 2, 28}, {"0-3,8", 5, 8}, {"7-7", 1, 7}};
	static const char *const bad[] = {"",	 ",",  "0,",  "a",   "0-",
					  "3-1", "-1", "0 1", "0x1", "99999999999"};
	int cpu[8];

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		is_int(perf_parse_cpus(good[i].list, cpu, 8), good[i].count, "\"%s\"",
		       good[i].list);
		is_int(cpu[good[i].count - 1], good[i].last, "its last");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		is_int(perf_parse_cpus(bad[i], cpu, 8), -EBADMSG, "not \"%s\"", bad[i]);
	is_int(perf_parse_cpus("0-7", cpu, 8), 8, "as many as there is room for");
	is_int(perf_parse_cpus("0-8", cpu, 8), -E2BIG, "and no more");
	is_int(perf_parse_cpus("0-4294967295", cpu, 8), -E2BIG, "however many");
}

/* Every file, broken in turn: none of it reaches perf_event_open(2). */
static void malformed(void)
{
	static const struct tree_file bad[] = {
		{"type", "power\n"},
		{"type", ""},
		{"type", "1 2\n"},
		{"cpumask", "\n"},
		{"cpumask", "0-999\n"},
		{"events/energy-pkg", "0x02\n"},
		{"events/energy-pkg", "event=\n"},
		{"events/energy-pkg", "event=0x02,umask=1\n"},
		{"events/energy-pkg.scale", "0\n"},
		{"events/energy-pkg.scale", "nan\n"},
		{"events/energy-pkg.scale", "-1\n"},
		{"events/energy-pkg.scale", "1e-9 J\n"},
		{"events/energy-pkg.unit", "Watts\n"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const char *root = tree_new(scratch, clock_pmu);
		struct mn_error e = MN_ERROR_INIT;
		struct perf p;
		int err;

		tree_set(root, bad[i].path, bad[i].text);
		err = perf_open(&p, root, &e);
		ok(err == -EBADMSG || err == -E2BIG, "%s", e.text);
		ok(strstr(e.text, bad[i].path), "which names it");
		perf_close(&p);
	}
}

static void absent(void)
{
	static const struct tree_file bare[] = {{"type", "1\n"}, {"cpumask", "0\n"}, {NULL, NULL}};
	struct perf p;

	is_int(perf_open(&p, "/nonexistent", NULL), -ENOENT, "no PMU");
	perf_close(&p);
	is_int(perf_open(&p, tree_new(scratch, bare), NULL), -ENOENT, "no counter of energy");
	perf_close(&p);
}

static void pass_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * NS_PER_MS}, NULL);
}

static void counts(void)
{
	const char *root = tree_new(scratch, clock_pmu);
	struct mn_error e = MN_ERROR_INIT;
	int64_t start = clock_ns();
	struct perf p;
	double seconds;
	int err = perf_open(&p, root, &e);

	if (err) {
		skip(7, e.text);
		perf_close(&p);
		return;
	}
	is_int((intmax_t)p.count, 2, "energy-pkg and energy-ram, not cores nor psys");
	pass_ms(50);
	is_int(perf_read(&p), 0, "they can be read");
	seconds = (double)(clock_ns() - start) / NS_PER_S;
	ok(p.joules > 3 * 0.02 && p.joules < 3 * seconds + 0.001,
	   "each with its scale: %.4f for %.4f s", p.joules, seconds);
	pass_ms(20);
	is_int(perf_read(&p), 0, "and again");
	seconds = (double)(clock_ns() - start) / NS_PER_S;
	ok(p.joules < 3 * seconds + 0.001, "nothing counts twice: %.4f for %.4f s", p.joules,
	   seconds);
	ok(!p.gaps, "nothing is missing");
	for (size_t i = 0; i < p.count; i++)
		dup2(scratch, p.counter[i].fd); /* no counter any more */
	ok(perf_read(&p) == -ENODEV && p.gaps == 2, "with none left there is no reading");
	perf_close(&p);
}

int main(void)
{
	scratch = scratch_open();
	cpu_lists();
	malformed();
	absent();
	counts();
	return done_testing();
}
