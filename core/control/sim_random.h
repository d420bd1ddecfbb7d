#pragma once

#include <stdint.h>

/* The simulator's random source: splitmix64, so that a run is a function of its seed. */
struct sim_random {
	uint64_t state;
};

void sim_random_init(struct sim_random *rng, uint64_t seed);

/* The next 64 random bits. */
uint64_t sim_random_next(struct sim_random *rng);

/* In (0, 1), both ends excluded: ((x >> 11) + 0.5) 2^-53. One draw. */
double sim_random_uniform(struct sim_random *rng);

/* Exponential of mean 1. One draw. */
double sim_random_exponential(struct sim_random *rng);

/* Standard normal by Box and Muller's cosine; the sine is dropped. Two draws. */
double sim_random_normal(struct sim_random *rng);

/* Lognormal by its mean and coefficient of variation. Two draws. */
double sim_random_lognormal(struct sim_random *rng, double mean, double cv);

/* Pareto by its mean before the cap and its exponent (> 1). One draw. */
double sim_random_pareto(struct sim_random *rng, double mean, double exponent, double cap);
