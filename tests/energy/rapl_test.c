/* RAPL zones as machines of several kinds show them: what counts, wraps, and what goes wrong. */
#include "energy/rapl.h"

#include <errno.h>
#include <sys/wait.h>

#include "tests/energy/tree.h"
#include "tests/tap.h"

static int scratch;

#define RANGE "262143328850\n"
#define ZONE(dir, name, uj)                                                                        \
	{dir "/name", name "\n"}, {dir "/energy_uj", uj "\n"},                                     \
	{                                                                                          \
		dir "/max_energy_range_uj", RANGE                                                  \
	}

/* Two sockets with memory. */
static const struct tree_file server[] = {
	{"intel-rapl/enabled", "1\n"},
	ZONE("intel-rapl:0", "package-0", "1000000"),
	ZONE("intel-rapl:0:0", "dram", "500000"),
	ZONE("intel-rapl:1", "package-1", "262143000000"),
	ZONE("intel-rapl:1:0", "dram", "0"),
	{NULL, NULL},
};

/* A notebook: every kind of zone, its package a second time through MMIO, another control type. */
static const struct tree_file notebook[] = {
	ZONE("intel-rapl:0", "package-0", "10000000"),
	ZONE("intel-rapl:0:0", "core", "4000000"),
	ZONE("intel-rapl:0:1", "uncore", "1000000"),
	ZONE("intel-rapl:0:2", "dram", "2000000"),
	ZONE("intel-rapl:1", "psys", "90000000"),
	ZONE("intel-rapl-mmio:0", "package-0", "10000000"),
	ZONE("intel-rapl-mmio:0:0", "dram", "2000000"),
	{"dtpm:0/name", "package-7\n"},
	{NULL, NULL},
};

static struct rapl *open_tree(const char *root)
{
	static struct rapl r;
	struct mn_error e = MN_ERROR_INIT;

	is_int(rapl_open(&r, root, &e), 0, "%zu zones count", r.count);
	if (e.text[0])
		diag("%s", e.text);
	return &r;
}

/* Lets `seconds` pass and reads; whether the sum is `joules`. */
static bool reads(struct rapl *r, double seconds, double joules)
{
	tree_pass(seconds);
	if (rapl_read(r) == 0 && near(r->joules, joules))
		return true;
	diag("%.6f J, want %.6f", r->joules, joules);
	return false;
}

static void several_packages(void)
{
	const char *root = tree_new(scratch, server);
	struct rapl *r = open_tree(root);

	is_int((intmax_t)r->count, 4, "two packages, and the memory of each");
	ok(reads(r, 1, 0), "nothing is used at first");
	tree_set(root, "intel-rapl:0/energy_uj", "31000000\n");
	tree_set(root, "intel-rapl:0:0/energy_uj", "3500000\n");
	ok(reads(r, 1, 33), "30 J of a package and 3 J of its memory");
	tree_set(root, "intel-rapl:1/energy_uj", "19671150\n");
	ok(reads(r, 1, 53), "20 J through a wrap");
	tree_set(root, "intel-rapl:1/energy_uj", "19671151\n");
	ok(reads(r, 1, 53.000001), "and on from there");
	ok(!r->gaps, "nothing is missing");
	ok(near(rapl_period_s(r), 262.14332885), "a wrap takes this long at the least");
	rapl_close(r);
}

static void sub_zones(void)
{
	const char *root = tree_new(scratch, notebook);
	struct rapl *r = open_tree(root);

	is_int((intmax_t)r->count, 2, "one package and its memory");
	is_str(r->zone[0].dir, "intel-rapl:0", "through MSRs rather than MMIO");
	is_str(r->zone[1].name, "package-0/dram", "memory by its package's name");
	tree_set(root, "intel-rapl:0/energy_uj", "20000000\n");
	tree_set(root, "intel-rapl:0:0/energy_uj", "10000000\n");
	tree_set(root, "intel-rapl:0:1/energy_uj", "3000000\n");
	tree_set(root, "intel-rapl:0:2/energy_uj", "3000000\n");
	tree_set(root, "intel-rapl:1/energy_uj", "120000000\n");
	tree_set(root, "intel-rapl-mmio:0/energy_uj", "20000000\n");
	ok(reads(r, 1, 11), "core, uncore, psys and the second view are not added");
	rapl_close(r);
}

static void psys_alone(void)
{
	static const struct tree_file files[] = {
		ZONE("intel-rapl:0", "psys", "5000000"),
		{NULL, NULL},
	};
	const char *root = tree_new(scratch, files);
	struct rapl *r = open_tree(root);

	tree_set(root, "intel-rapl:0/energy_uj", "6000000\n");
	ok(reads(r, 1, 1), "psys counts where there is no package");
	rapl_close(r);
}

static void mmio_fills_in(void)
{
	static const struct tree_file files[] = {
		ZONE("intel-rapl:0", "package-0-die-0", "0"),
		ZONE("intel-rapl:1", "package-0-die-1", "0"),
		ZONE("intel-rapl-mmio:0", "package-0-die-0", "0"),
		ZONE("intel-rapl-mmio:0:0", "dram", "0"),
		{NULL, NULL},
	};
	struct rapl *r = open_tree(tree_new(scratch, files));

	is_int((intmax_t)r->count, 3, "each die, and memory that only MMIO shows");
	is_str(r->zone[2].dir, "intel-rapl-mmio:0:0", "that one");
	rapl_close(r);
}

/* Takes a zone's counter away. On /sys its descriptor fails from then on, and this one's will. */
static void unplug(struct rapl *r, const char *root, size_t zone)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s/energy_uj", root, r->zone[zone].dir);
	unlink(path);
	dup2(scratch, r->zone[zone].fd);
}

static void unplugged(void)
{
	const char *root = tree_new(scratch, server);
	struct rapl *r = open_tree(root);

	tree_set(root, "intel-rapl:0/energy_uj", "11000000\n");
	ok(reads(r, 1, 10), "10 J");
	unplug(r, root, 0);
	tree_set(root, "intel-rapl:1/energy_uj", "262143100000\n");
	ok(reads(r, 1, 10.1), "a zone is gone; the others and its own 10 J still count");
	is_int(r->gaps, 1, "that is a gap");
	is_str(r->lost, "package-0 (intel-rapl:0): Is a directory", "for this");
	ok(reads(r, 1, 10.1), "it is still gone");
	tree_set(root, "intel-rapl:0/energy_uj", "7000\n");
	ok(reads(r, 1, 10.1), "it comes back: from where it is, not from where it was");
	tree_set(root, "intel-rapl:0/energy_uj", "2007000\n");
	ok(reads(r, 1, 12.1), "and counts again");
	is_int(r->gaps, 3, "gaps until it was back, and none since");
	rapl_close(r);
}

static void all_unplugged(void)
{
	static const struct tree_file files[] = {
		ZONE("intel-rapl:0", "package-0", "0"),
		{NULL, NULL},
	};
	const char *root = tree_new(scratch, files);
	struct rapl *r = open_tree(root);

	unplug(r, root, 0);
	is_int(rapl_read(r), -ENODEV, "with no zone left there is no reading");
	tree_set(root, "intel-rapl:0/energy_uj", "0\n");
	is_int(rapl_read(r), 0, "until one is back");
	rapl_close(r);
}

static void jumps(void)
{
	const char *root = tree_new(scratch, server);
	struct rapl *r = open_tree(root);

	tree_set(root, "intel-rapl:0/energy_uj", "900000\n");
	ok(reads(r, 1, 0), "a counter that was reset is no wrap of 262 kJ in a second");
	is_str(r->lost, "package-0 (intel-rapl:0): was reset", "and is told");
	tree_set(root, "intel-rapl:0/energy_uj", "1900000\n");
	ok(reads(r, 1, 1), "it goes on from there");
	rapl_close(r);

	r = open_tree(root);
	tree_set(root, "intel-rapl:0/energy_uj", "1900000000\n");
	ok(reads(r, 200, 1898.1), "200 s without a reading are no matter");
	ok(!r->gaps, "nothing is missing");
	ok(reads(r, 300, 1898.1), "in 300 s there may have been a wrap too many");
	ok(r->gaps == r->count && strstr(r->lost, "wrapped twice"), "%s", r->lost);
	rapl_close(r);
}

static void malformed(void)
{
	static const char *const bad[] = {
		"",
		"\n",
		"x\n",
		"-1\n",
		" 1\n",
		"1 2\n",
		"1.5\n",
		"18446744073709551616\n",
		"0x10",
		"1\n2\n",
		"99999999999999999999999999999999999999\n",
	};
	const char *root = tree_new(scratch, server);
	struct mn_error e = MN_ERROR_INIT;
	struct rapl r;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		tree_set(root, "intel-rapl:1/energy_uj", bad[i]);
		is_int(rapl_open(&r, root, &e), -EBADMSG, "no counter: case %zu", i);
		rapl_close(&r);
	}
	ok(strstr(e.text, "intel-rapl:1/energy_uj: "), "%s", e.text);
	tree_set(root, "intel-rapl:1/energy_uj", "1"); /* without its end of line it is one */
	tree_set(root, "intel-rapl:0:0/max_energy_range_uj", "0\n");
	is_int(rapl_open(&r, root, &e), -EBADMSG, "no range");
	ok(strstr(e.text, "intel-rapl:0:0/max_energy_range_uj: "), "%s", e.text);
	rapl_close(&r);
	tree_set(root, "intel-rapl:0:0/max_energy_range_uj", RANGE);
	tree_set(root, "intel-rapl:0/name", "");
	is_int(rapl_open(&r, root, &e), -EBADMSG, "no name");
	rapl_close(&r);
}

static void malformed_later(void)
{
	const char *root = tree_new(scratch, server);
	struct rapl *r = open_tree(root);

	tree_set(root, "intel-rapl:0/energy_uj", "oops\n");
	ok(reads(r, 1, 0) && r->gaps == 1, "what is no number any more is left out");
	tree_set(root, "intel-rapl:0/energy_uj", "3000000\n");
	ok(reads(r, 1, 0), "and taken up again");
	rapl_close(r);
}

static void absent(void)
{
	static const struct tree_file none[] = {{NULL, NULL}};
	static const struct tree_file other[] = {{"dtpm:0/name", "package\n"}, {NULL, NULL}};
	static const struct tree_file parts[] = {
		ZONE("intel-rapl:0:0", "core", "0"),
		ZONE("intel-rapl:0:2", "dram", "0"),
		{NULL, NULL},
	};
	struct mn_error e = MN_ERROR_INIT;
	struct rapl r;

	is_int(rapl_open(&r, "/nonexistent", &e), -ENOENT, "no powercap");
	rapl_close(&r);
	is_int(rapl_open(&r, tree_new(scratch, none), &e), -ENOENT, "no zone");
	rapl_close(&r);
	is_int(rapl_open(&r, tree_new(scratch, other), &e), -ENOENT, "no zone of ours");
	rapl_close(&r);
	is_int(rapl_open(&r, tree_new(scratch, parts), &e), -ENOENT, "no package, only parts");
	rapl_close(&r);
	is_int(rapl_open(&r, tree_new(scratch, none), NULL), -ENOENT, "nobody needs to be told");
	rapl_close(&r);
}

static void too_many(void)
{
	static const struct tree_file none[] = {{NULL, NULL}};
	const char *root = tree_new(scratch, none);
	struct mn_error e = MN_ERROR_INIT;
	struct rapl r;

	for (int i = 0; i <= RAPL_ZONES; i++) {
		char path[64], name[32];

		snprintf(name, sizeof(name), "package-%d\n", i);
		snprintf(path, sizeof(path), "intel-rapl:%d/name", i);
		tree_set(root, path, name);
		snprintf(path, sizeof(path), "intel-rapl:%d/energy_uj", i);
		tree_set(root, path, "0\n");
		snprintf(path, sizeof(path), "intel-rapl:%d/max_energy_range_uj", i);
		tree_set(root, path, RANGE);
	}
	is_int(rapl_open(&r, root, &e), -E2BIG, "more zones than fit are refused");
	rapl_close(&r);
}

/* As the one who may not read it: root passes any mode. */
static int open_as_nobody(const char *root, char *text, size_t size)
{
	struct mn_error e = MN_ERROR_INIT;
	struct rapl r;
	int err;

	if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
		return 99;
	err = rapl_open(&r, root, &e);
	snprintf(text, size, "%s", e.text);
	return -err;
}

static void not_permitted(void)
{
	const char *root = tree_new(scratch, server);
	char path[1024], text[480] = "";
	int pipefd[2], status;

	chmod(scratch_path, 0755);
	for (int package = 0; package < 2; package++) {
		snprintf(path, sizeof(path), "%s/intel-rapl:%d/energy_uj", root, package);
		chmod(path, 0);
	}
	if (pipe(pipefd) < 0)
		abort();
	if (fork() == 0) {
		int err = open_as_nobody(root, text, sizeof(text));

		_exit(write(pipefd[1], text, sizeof(text)) < 0 ? 98 : err);
	}
	close(pipefd[1]);
	ok(read(pipefd[0], text, sizeof(text)) == sizeof(text), "it says");
	close(pipefd[0]);
	wait(&status);
	is_int(WEXITSTATUS(status), EACCES, "not permitted");
	ok(strstr(text, "intel-rapl:0/energy_uj: permission denied (") &&
		   !strstr(text, "intel-rapl:1"),
	   "once, for the first: %s", text);
}

/* Whether the child could read 2 J from counters opened before it gave up its rights. */
static bool reads_without_rights(struct rapl *r)
{
	int status;

	if (fork() == 0) {
		if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
			_exit(99);
		_exit(reads(r, 1, 2) ? 0 : 1);
	}
	wait(&status);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void rights_given_up(void)
{
	const char *root = tree_new(scratch, server);
	struct rapl *r = open_tree(root);
	char path[1024];

	tree_set(root, "intel-rapl:0/energy_uj", "3000000\n");
	for (size_t i = 0; i < r->count; i++) {
		snprintf(path, sizeof(path), "%s/%s/energy_uj", root, r->zone[i].dir);
		chmod(path, 0);
	}
	ok(reads_without_rights(r), "what was opened before can be read without the right to");
	rapl_close(r);
}

int main(void)
{
	scratch = scratch_open();
	clock_use(tree_clock);
	several_packages();
	sub_zones();
	psys_alone();
	mmio_fills_in();
	unplugged();
	all_unplugged();
	jumps();
	malformed();
	malformed_later();
	absent();
	too_many();
	not_permitted();
	rights_given_up();
	return done_testing();
}
