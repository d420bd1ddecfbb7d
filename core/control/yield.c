#include "control/yield.h"

/* Whether anybody gains if the others make way. */
static bool contended(const struct yield_claim claims[], size_t n, double capacity_bps)
{
	bool waited_for = false, going_on = false;
	double out = 0;

	for (size_t i = 0; i < n; i++) {
		if (!claims[i].served)
			continue;
		out += claims[i].out_bps;
		going_on |= claims[i].yields;
		waited_for |= claims[i].short_of_room && claims[i].taking;
	}
	return waited_for && out >= YIELD_BUSY * capacity_bps * (going_on ? 0.5 : 1);
}

static double weights(const struct yield_claim claims[], size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += claims[i].served && claims[i].taking ? claims[i].weight : 0;
	return sum;
}

void yield_decide(const struct yield_claim claims[], size_t n, double capacity_bps,
		  double limit_bps[])
{
	bool busy = capacity_bps > 0 && contended(claims, n, capacity_bps);
	double all = weights(claims, n);

	for (size_t i = 0; i < n; i++) {
		const struct yield_claim *c = &claims[i];
		double share, pace;

		limit_bps[i] = 0;
		if (!busy || !c->served || !c->taking || c->short_of_room)
			continue;
		share = capacity_bps * c->weight / all / 2;
		pace = YIELD_AHEAD * c->in_bps;
		limit_bps[i] = pace > share ? pace : share;
	}
}
