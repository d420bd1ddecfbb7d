/* Who makes way on a link, and how fast a space is taken to drain. */
#include "control/yield.h"

#include <math.h>

#include "control/drain.h"
#include "tests/tap.h"

#define MB 1e6

static const struct yield_claim waits = {
	.out_bps = 1 * MB, .weight = 1, .served = true, .taking = true, .short_of_room = true};
static const struct yield_claim idles = {
	.in_bps = 1 * MB, .out_bps = 8 * MB, .weight = 1, .served = true, .taking = true};

static double limit_of(struct yield_claim one, struct yield_claim other, double capacity_bps)
{
	const struct yield_claim claims[] = {one, other};
	double limit[2];

	yield_decide(claims, 2, capacity_bps, limit);
	if (limit[0] != 0)
		diag("the one that is short is limited to %g", limit[0]);
	return limit[1];
}

static void yields(void)
{
	struct yield_claim c = idles, w = waits;

	ok(limit_of(waits, idles, 10 * MB) == 2.5 * MB, "half of its share of the link");
	c.in_bps = 4 * MB;
	ok(limit_of(waits, c, 10 * MB) == 5 * MB, "or a quarter faster than it is filled");
	c.weight = 3;
	c.in_bps = 1 * MB;
	ok(limit_of(waits, c, 10 * MB) == 3.75 * MB, "by its weight");
	ok(limit_of(waits, idles, 0) == 0, "none where the link's capacity is not known");
	ok(limit_of(waits, idles, 20 * MB) == 0, "nor where the link is not busy");
	c = idles;
	c.yields = true;
	ok(limit_of(waits, c, 20 * MB) > 0, "but what yields goes on while it is half as busy");
	ok(limit_of(waits, c, 40 * MB) == 0, "and no longer");
	ok(limit_of(idles, idles, 10 * MB) == 0, "nor where nobody waits for room");
	w.taking = false;
	ok(limit_of(w, idles, 9 * MB) == 0, "nor where nobody would take it");
	w = waits;
	w.served = false;
	ok(limit_of(w, idles, 9 * MB) == 0, "nor for what another link serves");
	ok(limit_of(waits, waits, 2 * MB) == 0, "those that are short are TCP's to divide");
}

static void drains(void)
{
	struct drain d = {0};

	drain_take(&d, 1000000, 0, 10);
	ok(d.bps == 0 && d.client_bps == 0, "without clients nothing is known");
	for (int i = 0; i < 4; i++)
		drain_take(&d, 250000, 4, 0.25);
	ok(fabs(d.bps - 1 * MB) < 1 && fabs(d.client_bps - 0.25 * MB) < 1, "a first second");
	for (int i = 0; i < 40; i++)
		drain_take(&d, 250000, 8, 0.1);
	ok(d.bps > 2.3 * MB && d.bps < 2.5 * MB, "faster, at once");
	for (int i = 0; i < 10; i++)
		drain_take(&d, 300000, 1, 1);
	ok(d.bps > 2 * MB, "slower, in minutes: with one client it is that who is slow");
	ok(d.client_bps > 0.25 * MB && d.client_bps < 0.31 * MB,
	   "who is as fast as all on average");
	drain_take(&d, 1000000, 1, -1);
	drain_take(&d, 1000000, 1, NAN);
	ok(isfinite(d.bps) && isfinite(d.client_bps), "time that did not pass does no harm");
}

int main(void)
{
	yields();
	drains();
	return done_testing();
}
