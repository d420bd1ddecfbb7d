#pragma once

#include <stddef.h>

/* One space's claim on memory that does not suffice for all. Bytes. */
struct budget_claim {
	double floor; /* cannot be taken away: its use, or its minimum */
	double need;  /* with which it would not block; at least floor */
	double want;  /* with slack it would rather keep; at least need */
	double entitlement;
	double weight;
	double grant; /* out: floor <= grant <= want */
};

/* entitlement = min + its share by weight of what the minima leave of capacity. */
double budget_entitlement(double min, double weight, double sum_min, double sum_weight,
			  double capacity);

/*
 * Divide capacity. All wants are granted if they fit; then all needs, and the slack in proportion.
 * Else floors; then what is missing up to the entitlements, and last what is missing beyond them,
 * each in proportion. The grants' sum is at most the larger of capacity and the
 * floors' sum. Returns whether all needs were met.
 */
int budget_share(struct budget_claim claims[], size_t n, double capacity);
