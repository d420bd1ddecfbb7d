/* The model: stated watts times time, and never none at all. */
#include "energy/model.h"

#include <errno.h>

#include "tests/energy/tree.h"
#include "tests/tap.h"

static int scratch;

/* Two CPUs and so many ticks of work, half of them in user space. */
static void set_busy(const char *proc, unsigned int ticks)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "cpu  %u 0 %u 5000 0 0 0 0 0 0\ncpu0 1 0 0 0 0 0 0\ncpu1 1 0 0 0 0 0 0\nintr 1\n",
		 ticks / 2, ticks - ticks / 2);
	tree_set(proc, "stat", text);
}

/* `busy` CPU seconds in `seconds`; the joules that makes so far. */
static double after(struct model *m, const char *proc, double seconds, double busy)
{
	static double total;
	double ticks = (double)sysconf(_SC_CLK_TCK);

	total += busy;
	set_busy(proc, (unsigned int)(total * ticks));
	tree_pass(seconds);
	return model_read(m) ? NAN : m->joules;
}

static void defaults(void)
{
	static const struct tree_file none[] = {{NULL, NULL}};
	const char *proc = tree_new(scratch, none);
	struct model m;

	set_busy(proc, 0);
	is_int(model_open(&m, proc, (struct model_watts){NAN, NAN}, NULL), 0, "by default");
	ok(near(m.watts.idle_watts, 5), "2.5 W for each of two CPUs");
	ok(near(m.watts.core_watts, 5), "5 W more for each busy one");
	ok(near(after(&m, proc, 10, 0), 50), "ten seconds of nothing are 50 J");
	ok(near(after(&m, proc, 10, 20), 200), "ten with both CPUs busy 150 J more");
	ok(near(after(&m, proc, 0, 0), 200), "no time, no energy");
	set_busy(proc, 0);
	ok(model_read(&m) == 0 && near(m.joules, 200), "time that went back is not taken off");
	tree_set(proc, "stat", "cpu\n");
	is_int(model_read(&m), -EBADMSG, "what is no CPU time is no reading");
	model_close(&m);
}

static void stated(void)
{
	static const struct tree_file none[] = {{NULL, NULL}};
	const char *proc = tree_new(scratch, none);
	struct mn_error e = MN_ERROR_INIT;
	static const struct model_watts bad[] = {
		{-1, 5}, {10, -1}, {0, 0}, {INFINITY, 1}, {1, 1e7}, {-1, NAN},
	};
	struct model m;

	set_busy(proc, 0);
	is_int(model_open(&m, proc, (struct model_watts){100, 2}, &e), 0, "a machine's own watts");
	ok(m.watts.idle_watts == 100 && m.watts.core_watts == 2, "are taken as they are");
	model_close(&m);
	is_int(model_open(&m, proc, (struct model_watts){0, 2}, &e), 0, "0 W idle can be meant");
	model_close(&m);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		is_int(model_open(&m, proc, bad[i], &e), -EINVAL, "not %g W and %g W",
		       bad[i].idle_watts, bad[i].core_watts);
		model_close(&m);
	}
	ok(e.status == MN_USAGE && strstr(e.text, "want 0 to 1e+06"), "%s", e.text);
	is_int(model_open(&m, "/nonexistent", (struct model_watts){NAN, NAN}, &e), -ENOENT,
	       "no /proc");
	model_close(&m);
}

int main(void)
{
	scratch = scratch_open();
	clock_use(tree_clock);
	defaults();
	stated();
	return done_testing();
}
