#include "control/budget.h"

#include <math.h>

double budget_entitlement(double min, double weight, double sum_min, double sum_weight,
			  double capacity)
{
	return min + weight / sum_weight * fmax(0, capacity - sum_min);
}

/* What a claim still lacks, up to its entitlement or beyond. */
static double lacks(const struct budget_claim *claim, int beyond)
{
	double upto = beyond ? claim->need : fmin(claim->need, claim->entitlement);

	return fmax(0, upto - claim->grant);
}

/* Give all the same part of what they lack; returns what is left. */
static double give(struct budget_claim claims[], size_t n, double left, int beyond)
{
	double sum = 0, part;

	for (size_t i = 0; i < n; i++)
		sum += lacks(&claims[i], beyond);
	if (sum <= 0 || left <= 0)
		return left;
	part = fmin(1, left / sum);
	for (size_t i = 0; i < n; i++)
		claims[i].grant += part * lacks(&claims[i], beyond);
	return left - part * sum;
}

int budget_share(struct budget_claim claims[], size_t n, double capacity)
{
	double want = 0, need = 0, left = capacity, share;

	for (size_t i = 0; i < n; i++) {
		want += claims[i].want;
		need += claims[i].need;
		left -= claims[i].grant = claims[i].floor;
	}
	if (need > capacity) {
		left = give(claims, n, left, 0);
		give(claims, n, left, 1);
		return 0;
	}
	share = want > capacity ? (capacity - need) / (want - need) : 1;
	for (size_t i = 0; i < n; i++)
		claims[i].grant = claims[i].need + share * (claims[i].want - claims[i].need);
	return 1;
}
