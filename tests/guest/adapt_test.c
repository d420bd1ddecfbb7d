/* Which level suits a drain: against a model of zstd that the chooser has to find out. */
#include "guest/adapt.h"

#include "tests/tap.h"

/* Seconds a byte, and bytes out of a byte, of data that does not behave as the usual. */
static const double cost[] = {0,      3e-9,   3.5e-9, 5e-9,   9e-9,   11e-9, 15e-9,
			      19e-9,  22e-9,  30e-9,  40e-9,  70e-9,  90e-9, 180e-9,
			      220e-9, 300e-9, 350e-9, 500e-9, 600e-9, 700e-9};
static const double share[] = {0,    .50,  .46, .43, .42,  .40,	 .39, .385, .38, .37,
			       .365, .362, .36, .35, .348, .345, .33, .32,  .31, .305};

#define MB 1e6

/* Compresses `input` bytes with a drain of `rate`; *total: until all is delivered. */
static int run(struct adapt *a, double input, double rate, double *total)
{
	double now = 0, backlog = 0, left = input;

	while (left > 0) {
		struct adapt_drain d = {.rate = rate, .backlog = backlog};
		double in = left < 2 * MB ? left : 2 * MB, made = in * cost[a->level];
		struct adapt_stretch s = {.in = (uint64_t)in,
					  .out = (uint64_t)(in * share[a->level]),
					  .seconds = made};

		adapt_learn(a, &s);
		now += made;
		backlog -= rate * made;
		backlog = (backlog > 0 ? backlog : 0) + (double)s.out;
		left -= in;
		/* What is made can be seen to be taken only as fast as it is made. */
		if (backlog <= (double)s.out && (double)s.out / made < rate)
			d.rate = (double)s.out / made, d.backlog = 0;
		else
			d.backlog = backlog;
		adapt_choose(a, &d, left);
	}
	*total = now + backlog / rate;
	return a->level;
}

static double fixed(int level, double input, double rate)
{
	double make = input * cost[level], deliver = input * share[level] / rate;

	return make > deliver ? make : deliver;
}

static double best_fixed(double input, double rate)
{
	double best = fixed(1, input, rate);

	for (int i = 2; i <= 19; i++)
		best = fixed(i, input, rate) < best ? fixed(i, input, rate) : best;
	return best;
}

static void as_good_as_the_best(void)
{
	static const double rates[] = {0.2 * MB, MB, 3 * MB, 10 * MB, 30 * MB, 100 * MB, 1000 * MB};
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		double input = 100 * MB, total, best = best_fixed(input, rates[i]);
		struct adapt a;
		int level;

		adapt_init(&a, 3, 1, 19);
		level = run(&a, input, rates[i], &total);
		ok(total <= 1.05 * best, "%.1f MB/s: %.2f s, the best level %.2f s (now %d)",
		   rates[i] / MB, total, best, level);
		ok(rates[i] < 2 * MB ? level >= 13 : rates[i] < 200 * MB || level <= 2,
		   "which is high for a slow drain and low for a fast one");
	}
}

static void bounds(void)
{
	struct adapt a;
	double total;

	adapt_init(&a, 3, 5, 9);
	is_int(a.level, 5, "no level below the least");
	is_int(run(&a, 100 * MB, 0.1 * MB, &total), 9, "a slow drain ends at the highest allowed");
	adapt_init(&a, 3, 2, 9);
	is_int(run(&a, 100 * MB, 1000 * MB, &total), 2, "a fast one at the lowest");
}

static void changes(void)
{
	struct adapt a;
	double total;

	adapt_init(&a, 3, 1, 19);
	ok(run(&a, 100 * MB, 0.2 * MB, &total) >= 17, "slow at first");
	ok(run(&a, 300 * MB, 200 * MB, &total) <= 2, "and it comes down when that ends");
	ok(run(&a, 100 * MB, 0.2 * MB, &total) >= 17, "and goes up again");
}

static void whole_objects(void)
{
	struct adapt_drain d = {.rate = MB, .whole = true};
	struct adapt_stretch s = {2000000, 860000, 0.01};
	struct adapt a;
	int alone;

	adapt_init(&a, 3, 1, 19);
	adapt_learn(&a, &s);
	for (int i = 0; i < 8; i++)
		adapt_choose(&a, &d, 50 * MB);
	alone = a.level;
	d.backlog = 60 * MB;
	for (int i = 0; i < 8; i++)
		adapt_choose(&a, &d, 50 * MB);
	ok(a.level > alone, "while others are delivered there is more time (%d, %d)", alone,
	   a.level);
}

static void unknown(void)
{
	struct adapt_drain d = {.rate = -1};
	struct adapt_stretch s = {2000000, 860000, 0.01}, none = {0, 0, 0};
	struct adapt a;

	adapt_init(&a, 3, 1, 19);
	adapt_choose(&a, &d, MB);
	adapt_learn(&a, &none);
	is_int(a.level, 3, "nothing is known: it stays");
	ok(adapt_bytes(&a, 1) <= 0, "nor how long anything takes");
	adapt_learn(&a, &s);
	ok(adapt_bytes(&a, 1) > 1.9e8 && adapt_bytes(&a, 1) < 2.1e8, "till it was tried");
	adapt_choose(&a, &d, MB);
	is_int(a.level, 3, "without a drain it stays");
	d.advice = 1;
	adapt_choose(&a, &d, MB);
	is_int(a.level, 4, "the host's advice counts");
	d.advice = -1;
	for (int i = 0; i < 9; i++)
		adapt_choose(&a, &d, MB);
	is_int(a.level, 1, "down to the least");
}

/* The slow drain's level stays up when what comes is harder to make small. */
static void denser_data(void)
{
	struct adapt_drain d = {.rate = MB, .backlog = 4 * MB};
	struct adapt_stretch easy = {2000000, 400000, 0.01}, hard = {2000000, 800000, 0.05};
	struct adapt a;
	int before;

	adapt_init(&a, 1, 1, 19);
	adapt_learn(&a, &easy);
	adapt_choose(&a, &d, 50 * MB);
	before = a.level;
	for (int i = 0; i < 3; i++) {
		adapt_learn(&a, &hard);
		adapt_choose(&a, &d, 50 * MB);
	}
	ok(before > 1 && a.level >= before, "data, not the level, was harder (%d, %d)", before,
	   a.level);
}

int main(void)
{
	as_good_as_the_best();
	bounds();
	changes();
	whole_objects();
	unknown();
	denser_data();
	return done_testing();
}
