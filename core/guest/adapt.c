#include "guest/adapt.h"

#include <stdlib.h>

/* No change for nothing: a better level ends sooner by so much. */
#define WORTH 0.999

/* A level costs at most so many times what the last one did: what was measured may be wrong. */
#define CLIMB 8

#define NEWEST 0.5 /* the weight of the newest stretch */

/* Time and size at each level, as zstd takes them for executables and text; only ratios count. */
static const struct {
	double cost, share;
} usual[ADAPT_LEVEL_MAX + 1] = {
	{0, 0},	     {1, 1},	  {1.1, .90},  {1.9, .85},  {3.1, .835}, {3.6, .805},
	{4.7, .785}, {6.1, .772}, {7, .768},   {8.2, .755}, {10, .75},	 {17, .748},
	{20, .747},  {43, .742},  {49, .74},   {73, .736},  {80, .715},	 {110, .70},
	{130, .685}, {150, .683}, {160, .682}, {180, .682}, {200, .682},
};

void adapt_init(struct adapt *a, int level, int min, int max)
{
	*a = (struct adapt){.min = min, .max = max};
	a->level = level < min ? min : level > max ? max : level;
}

/* The level tried that is nearest; 0: none was. */
static int nearest(const struct adapt *a, int level)
{
	int best = 0;

	for (int i = a->min; i <= a->max; i++) {
		if (a->cost[i] > 0 && (!best || abs(i - level) <= abs(best - level)))
			best = i;
	}
	return best;
}

/* Seconds a byte at `level`, of which something is known. */
static double cost_of(const struct adapt *a, int level)
{
	int known = nearest(a, level);

	return a->cost[known] * usual[level].cost / usual[known].cost;
}

static double share_of(const struct adapt *a, int level)
{
	int known = nearest(a, level);

	return a->share[known] * usual[level].share / usual[known].share;
}

/*
 * What a stretch shows of its data holds for all levels: data that is harder than what came before
 * would else look like a level that is worse.
 */
void adapt_learn(struct adapt *a, const struct adapt_stretch *s)
{
	double cost, share, harder = 1, denser = 1;
	bool first = a->cost[a->level] <= 0;

	if (s->in == 0 || s->seconds <= 0)
		return;
	cost = s->seconds / (double)s->in;
	share = (double)s->out / (double)s->in;
	if (!first)
		harder = 1 + NEWEST * (cost / a->cost[a->level] - 1);
	if (nearest(a, a->level)) {
		denser = 1 + NEWEST * (share / share_of(a, a->level) - 1);
		share = share_of(a, a->level);
	}
	for (int i = a->min; i <= a->max; i++) {
		a->cost[i] *= harder;
		a->share[i] *= denser;
	}
	if (first) {
		a->cost[a->level] = cost;
		a->share[a->level] = share * denser;
	}
}

/* Seconds until the last byte is delivered, with the rest compressed at `level`. */
static double finish(const struct adapt *a, int level, const struct adapt_drain *d, double rate,
		     double rest)
{
	double make = rest * cost_of(a, level), left = rest * share_of(a, level) / rate;
	double deliver = d->backlog / rate;

	if (d->whole)
		return (make > deliver ? make : deliver) + left;
	deliver += left;
	return make > deliver ? make : deliver;
}

static void step(struct adapt *a, int by)
{
	int level = a->level + by;

	if (level >= a->min && level <= a->max)
		a->level = level;
}

void adapt_choose(struct adapt *a, const struct adapt_drain *d, double rest)
{
	double rate = d->rate > 1 ? d->rate : 1, least;
	int best = a->level;

	if (!nearest(a, a->level))
		return;
	if (d->rate < 0) {
		step(a, d->advice);
		return;
	}
	if (!d->whole && d->backlog <= 0)
		rate *= 2;
	least = finish(a, best, d, rate, rest) * WORTH;
	for (int i = a->min; i <= a->max; i++) {
		double seconds = finish(a, i, d, rate, rest);

		if (seconds < least && cost_of(a, i) <= CLIMB * cost_of(a, a->level)) {
			least = seconds;
			best = i;
		}
	}
	a->level = best;
}

double adapt_bytes(const struct adapt *a, double seconds)
{
	return nearest(a, a->level) ? seconds / cost_of(a, a->level) : 0;
}

double adapt_input(const struct adapt *a, double out)
{
	double share = nearest(a, a->level) ? share_of(a, a->level) : 0;

	return share > 0 ? out / share : 0;
}
