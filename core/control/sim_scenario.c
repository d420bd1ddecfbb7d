#include "control/sim_scenario.h"

#include <string.h>

#define MB(n)	((uint64_t)(n)*1000000)
#define S_US(n) ((uint64_t)(n)*1000000)

#define LOGNORMAL .size_mean = 24e6, .size_cv = 1
#define PARETO	  .size_mean = 24e6, .size_exponent = 1.5, .size_cap = 800e6

#define CONSTANT(name, rate, sizes)                                                                \
	static const struct sim_load name = {.shape = SIM_STEPS, .nsteps = 1, .step = {rate}, sizes}
#define STEPS(name, ...)                                                                           \
	static const struct sim_load name = {                                                      \
		.shape = SIM_STEPS, .nsteps = 6, .step = {__VA_ARGS__}, LOGNORMAL}
#define SINE(name, rate, lag)                                                                      \
	static const struct sim_load name = {.shape = SIM_SINE,                                    \
					     .base = rate,                                         \
					     .swing = .75,                                         \
					     .cycle_s = 1800,                                      \
					     .lag_s = lag,                                         \
					     LOGNORMAL}
#define FLASH(name, low, high, first, second, hold, tau)                                           \
	static const struct sim_load name = {.shape = SIM_FLASH,                                   \
					     .base = low,                                          \
					     .peak = high,                                         \
					     .at_s = {first, second},                              \
					     .hold_s = hold,                                       \
					     .tau_s = tau,                                         \
					     LOGNORMAL}
#define SWITCHED(name, low, high)                                                                  \
	static const struct sim_load name = {                                                      \
		.shape = SIM_SWITCHED, .base = low, .peak = high, .stay_s = {40, 20}, LOGNORMAL}

static const struct sim_load even = {.shape = SIM_EVEN, LOGNORMAL};
CONSTANT(s1, 1.5, LOGNORMAL);
STEPS(s2, .4, 1.8, .8, 2.2, .2, 1.5);
SINE(s3, 1.2, 0);
FLASH(s4, .6, 3, 1200, 2700, 120, 120);
CONSTANT(s5, 1.2, PARETO);
SWITCHED(s6, .5, 2.4);
STEPS(s10, 1, 4.2, .5, .8, .8, .8);
STEPS(s13, .8, 3, .3, .8, .8, .8);
CONSTANT(m8_constant, 1.2, LOGNORMAL);
STEPS(m8_steps, .4, 1.8, .8, 2, .2, 1.5);
SINE(m8_sine, 1.1, 0);
SINE(m8_antisine, 1.1, 900);
FLASH(m8_flash, .5, 2.8, 1200, 0, 120, 90);
FLASH(m8_flashes, .5, 2.8, 1230, 2700, 90, 90);
CONSTANT(m8_heavy, .8, PARETO);
SWITCHED(m8_switched, .4, 2);

/* The base VM; what follows the load overrides it, and GCC is told that this is meant. */
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#	pragma clang diagnostic ignored "-Winitializer-overrides"
#endif
#define MEMBER(l, ...)                                                                             \
	{                                                                                          \
		.load = &(l), .slo_us = S_US(8), .min_bytes = MB(64), .max_bytes = MB(4000),       \
		.weight = 1, .vm.workers = 4, .vm.drain_bps = MB(60), .vm.client_bps = MB(8),      \
		__VA_ARGS__                                                                        \
	}
#define ONE(...) .nvms = 1, .vm = {MEMBER(__VA_ARGS__)}

static const uint64_t s9_kills_us[] = {S_US(900),  S_US(1215), S_US(1810),
				       S_US(2400), S_US(3010), 0};

const struct sim_scenario sim_scenarios[] = {
	{"S0", "one 24 MB job a second, no chance in it", ONE(even)},
	{"S1", "constant rate", ONE(s1)},
	{"S2", "steps", ONE(s2)},
	{"S3", "slow sine", ONE(s3)},
	{"S4", "two flash crowds", ONE(s4)},
	{"S5", "heavy-tailed sizes", ONE(s5, .slo_us = S_US(10))},
	{"S6", "rate switched at random", ONE(s6)},
	{"S7", "S1, the drain at half speed in [1200, 1500)", ONE(s1),
	 .trouble = {.slow_from_us = S_US(1200), .slow_to_us = S_US(1500)}},
	{"S8", "S2, records lost, late, nonsense, absent, lies", ONE(s2),
	 .trouble = {.records_bad = true}},
	{"S9", "S2, the controller killed five times", ONE(s2),
	 .trouble = {.kills_us = s9_kills_us}},
	{"S10", "more work than the CPUs can do", ONE(s10, .vm.drain_bps = MB(150))},
	{"S11", "S2, objects stay 5 s after delivery", ONE(s2, .vm.ttl_us = S_US(5))},
	{"S12", "S2, delivered ranges punched out", ONE(s2, .vm.punch = true)},
	{"S13", "more than the drain can deliver", ONE(s13)},
	{"M8", "eight VMs under one budget", .nvms = 8,
	 .vm = {MEMBER(m8_constant), MEMBER(m8_steps), MEMBER(m8_sine), MEMBER(m8_antisine),
		MEMBER(m8_flash), MEMBER(m8_flashes, .weight = 2),
		MEMBER(m8_heavy, .slo_us = S_US(10)), MEMBER(m8_switched)}},
	{0},
};

const struct sim_scenario *sim_scenario_find(const char *name)
{
	for (const struct sim_scenario *s = sim_scenarios; s->name; s++)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

uint64_t sim_scenario_seed(const struct sim_scenario *scenario, unsigned int vm, uint64_t seed)
{
	return scenario->nvms == 1 ? seed : 1000 * seed + vm;
}
