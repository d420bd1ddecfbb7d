#include "control/budget.h"

#include <math.h>

double budget_entitlement(double min, double weight, double sum_min, double sum_weight,
			  double capacity)
{
	return min + weight / sum_weight * fmax(0, capacity - sum_min);
}

/* Granted at a water level: what a claim's weight gives it, between its floor and its need. */
static double at_level(const struct budget_claim *claim, double level)
{
	return fmin(claim->need, fmax(claim->floor, claim->weight * level));
}

static double sum_at_level(const struct budget_claim claims[], size_t n, double level)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += at_level(&claims[i], level);
	return sum;
}

/*
 * Max-min fairness: raise one level for all until the capacity is spent. Whoever needs less than
 * the level has all it needs; those above it share the shortage.
 */
static void fill(struct budget_claim claims[], size_t n, double capacity)
{
	double low = 0, high = 0;

	for (size_t i = 0; i < n; i++)
		high = fmax(high, claims[i].need / claims[i].weight);
	for (int i = 0; i < 50; i++) {
		double level = (low + high) / 2;

		if (sum_at_level(claims, n, level) > capacity)
			high = level;
		else
			low = level;
	}
	for (size_t i = 0; i < n; i++)
		claims[i].grant = at_level(&claims[i], low);
}

int budget_share(struct budget_claim claims[], size_t n, double capacity)
{
	double want = 0, need = 0, share;

	for (size_t i = 0; i < n; i++) {
		want += claims[i].want;
		need += claims[i].need;
	}
	if (need > capacity) {
		fill(claims, n, capacity);
		return 0;
	}
	share = want > capacity ? (capacity - need) / (want - need) : 1;
	for (size_t i = 0; i < n; i++)
		claims[i].grant = claims[i].need + share * (claims[i].want - claims[i].need);
	return 1;
}
