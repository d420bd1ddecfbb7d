/* A fast part of the gates that tests/bench/control.sh prints in full. */
#include "control/simulate.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "tests/control/data.h"
#include "tests/tap.h"

#define C0_SEED1 4600000000.0

static struct simulate_result run(struct simulate_spec spec)
{
	struct simulate_result result;

	is_int(simulate(&spec, &result), 0, "%s runs", spec.scenario->name);
	return result;
}

static struct simulate_spec spec_of(const char *scenario, uint64_t seed)
{
	return simulate_spec_default(sim_scenario_find(scenario), seed);
}

/* One scenario: as many windows as the reference counts, and not more memory than the gate. */
static double against(const struct reference *want, double most)
{
	struct simulate_result r = run(spec_of(want->scenario, want->seed));
	double ratio = r.total.mean_bytes / 1e6 / want->oracle_mean_mb;

	is_int(r.total.windows, want->windows, "%s: windows", want->scenario);
	ok(fabs(r.total.unlimited_mean_bytes / 1e6 - want->mean_mb) < 0.051,
	   "%s: mean use with max memory", want->scenario);
	is_int(r.total.xv, 0, "%s: no window lost for want of memory", want->scenario);
	ok(ratio <= most, "%s: %.3f of the oracle's memory", want->scenario, ratio);
	ok(r.total.resizes <= 2600 && r.total.reversals <= 750, "%s: %u resizes, %u reversals",
	   want->scenario, r.total.resizes, r.total.reversals);
	return ratio;
}

static void single(void)
{
	static const char names[] = "S2 S5 S9 S12 ";
	FILE *file = data_open("reference.csv");
	struct reference want;
	double product = 1;
	int n = 0;

	while (reference_next(file, &want)) {
		char word[12];

		snprintf(word, sizeof(word), "%s ", want.scenario);
		if (want.seed != 2 || !strstr(names, word))
			continue;
		product *= against(&want, strchr("912", want.scenario[1]) ? 1.75 : 1.5);
		n++;
	}
	fclose(file);
	is_int(n, 4, "scenarios");
	ok(pow(product, 1.0 / n) <= 1.25, "together %.3f", pow(product, 1.0 / n));
}

static void steady(void)
{
	struct simulate_result r = run(spec_of("S0", 1));

	ok(r.total.resizes <= 10, "a load without chance: %u resizes", r.total.resizes);
}

static void blind(void)
{
	struct simulate_spec spec = spec_of("S2", 1);
	struct simulate_result r;

	spec.tuning.guard_ns = 0;
	r = run(spec);
	ok(r.total.xv <= 1, "without guard %u windows", r.total.xv);
}

static void distrust(void)
{
	struct simulate_spec spec = spec_of("S2", 1);
	double truth = run(spec).total.mean_bytes, lies;

	spec.liar = 1;
	lies = run(spec).total.mean_bytes;
	ok(fabs(lies / truth - 1) <= 0.05, "lies buy no memory (%+.1f %%)",
	   100 * (lies / truth - 1));
	spec.liar = 2;
	is_int(simulate(&spec, &(struct simulate_result){0}), -EINVAL, "there is no second VM");
}

static void budgeted(double part, unsigned int hoarder, unsigned int most)
{
	struct simulate_spec spec = spec_of("M8", 1);
	struct simulate_result r;
	unsigned int xv;

	spec.tuning.budget_bytes = (uint64_t)(part * C0_SEED1);
	spec.hoarder = hoarder;
	r = run(spec);
	xv = r.total.xv - (hoarder ? r.vm[hoarder - 1].xv : 0);
	is_int(r.over_budget, 0, "M8 at %.2f C0: never over the budget", part);
	ok(xv <= most, "M8 at %.2f C0, hoarder %u: %u of %u windows", part, hoarder, xv,
	   r.total.windows);
	ok(r.total.peak_bytes <= spec.tuning.budget_bytes, "the sum of the sizes fits");
}

static void same_again(void)
{
	struct simulate_spec spec = spec_of("S8", 3);
	struct simulate_result first = run(spec), second = run(spec);

	is_mem(&first, &second, sizeof(first), "a run is a function of its seed");
}

static void policies(void)
{
	struct simulate_spec spec = spec_of("S1", 1);
	struct simulate_result fixed, rule;

	spec.policy = SIMULATE_STATIC;
	fixed = run(spec);
	is_int((intmax_t)fixed.total.mean_bytes, 4000000000, "static keeps max");
	is_int(fixed.total.xv, 0, "and loses nothing by it");
	spec.policy = SIMULATE_THRESHOLD;
	rule = run(spec);
	ok(rule.total.mean_bytes > 1.2 * 211.5e6, "a threshold rule takes %.0f MB",
	   rule.total.mean_bytes / 1e6);
	is_str(simulate_policy_name(SIMULATE_NPOLICIES), NULL, "and there is no other");
}

int main(void)
{
	steady();
	single();
	blind();
	distrust();
	budgeted(0.8, 0, 4);
	budgeted(0.5, 2, 16);
	same_again();
	policies();
	return done_testing();
}
