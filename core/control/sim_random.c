#include "control/sim_random.h"

#include <math.h>

void sim_random_init(struct sim_random *rng, uint64_t seed)
{
	rng->state = seed;
}

uint64_t sim_random_next(struct sim_random *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

double sim_random_uniform(struct sim_random *rng)
{
	return ((double)(sim_random_next(rng) >> 11) + 0.5) * 0x1p-53;
}

double sim_random_exponential(struct sim_random *rng)
{
	return -log(sim_random_uniform(rng));
}

double sim_random_normal(struct sim_random *rng)
{
	double radius = sqrt(-2 * log(sim_random_uniform(rng)));

	return radius * cos(2 * M_PI * sim_random_uniform(rng));
}

double sim_random_lognormal(struct sim_random *rng, double mean, double cv)
{
	double s2 = log(1 + cv * cv);

	return exp(log(mean) - s2 / 2 + sqrt(s2) * sim_random_normal(rng));
}

double sim_random_pareto(struct sim_random *rng, double mean, double exponent, double cap)
{
	double least = mean * (exponent - 1) / exponent;

	return fmin(cap, least / pow(sim_random_uniform(rng), 1 / exponent));
}
