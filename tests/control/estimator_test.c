#include "control/estimator.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "control/plan.h"
#include "control/sim_scenario.h"
#include "tests/tap.h"

static const struct plan_question base = {
	.lambda = 1.5,
	.size_bytes = 24e6,
	.cv = 1,
	.drain_bps = 60e6,
	.client_bps = 8e6,
	.work_bps = PLAN_WORK_BPS,
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Use of a simulated space, every 100 ms over runs of an hour, sorted. */
static double *simulate_use(double lambda, double cv, unsigned int runs, size_t *n)
{
	struct sim_load load = {.shape = SIM_STEPS,
				.nsteps = 1,
				.step = {lambda},
				.size_mean = 24e6,
				.size_cv = cv};
	struct sim_vm vm = {.workers = 4, .drain_bps = 60000000, .client_bps = 8000000};
	double *use = malloc(runs * 36000 * sizeof(*use));

	*n = 0;
	for (unsigned int run = 0; run < runs; run++) {
		struct sim_plant plant;
		struct sim_jobs jobs;

		sim_jobs_init(&jobs, &load, SIM_DURATION_S, 100 + run);
		sim_plant_init(&plant, &vm, &jobs, UINT64_C(40000000000));
		for (unsigned int step = 0; step < 360000; step++) {
			sim_plant_step(&plant);
			if (step >= 12000 && step % 10 == 0)
				use[(*n)++] = (double)plant.used_bytes;
		}
		sim_plant_close(&plant);
		sim_jobs_close(&jobs);
	}
	qsort(use, *n, sizeof(*use), compare);
	return use;
}

static void against_simulator(double lambda, double cv)
{
	struct plan_question question = base;
	struct plan_answer answer;
	size_t n;
	double *use = simulate_use(lambda, cv, 12, &n), mean = 0, off;

	for (size_t i = 0; i < n; i++)
		mean += use[i] / (double)n;
	question.lambda = lambda;
	question.cv = cv;
	is_int(plan(&question, &answer), 0, "lambda %.1f, cv %.1f has an answer", lambda, cv);
	off = 100 * (answer.prediction.mean_bytes / mean - 1);
	ok(fabs(off) <= 5, "mean within 5 %% of the simulator's (%+.1f)", off);
	off = 100 * (answer.q95_bytes / use[n * 95 / 100] - 1);
	ok(fabs(off) <= 10, "95th percentile within 10 %% (%+.1f)", off);
	ok(!answer.prediction.doubts, "and it is sure of it");
	free(use);
}

static void validity(void)
{
	struct plan_question question = base;
	struct plan_answer answer;

	question.lambda = 2.3;
	is_int(plan(&question, &answer), 0, "a drain at 92 %% has an answer");
	ok(answer.prediction.doubts & QUEUE_BUSY_DRAIN, "in doubt");
	question.lambda = 2.5;
	is_int(plan(&question, &answer), -ERANGE, "an overloaded drain has none");
	ok(answer.prediction.doubts & QUEUE_OVERLOADED, "and says why");
	question = base;
	question.cv = 2;
	plan(&question, &answer);
	ok(answer.prediction.doubts & QUEUE_HEAVY_TAIL, "heavy tails are in doubt");
	question = base;
	question.client_bps = 60e6;
	plan(&question, &answer);
	ok(answer.prediction.doubts & QUEUE_FEW_CLIENTS, "few clients are in doubt");
	question.size_bytes = NAN;
	is_int(plan(&question, &answer), -EINVAL, "no number, no answer");
	question = base;
	question.lambda = -1;
	is_int(plan(&question, &answer), -EINVAL, "nor below 0");
	question = base;
	question.lambda = 0;
	is_int(plan(&question, &answer), 0, "no load");
	ok(answer.q99_bytes == 0, "needs no space");
}

static void erlang_c(void)
{
	ok(fabs(queue_erlang_c(1, 0.5) - 0.5) < 1e-12, "C(1, 1/2) = 1/2");
	ok(fabs(queue_erlang_c(2, 1) - 1.0 / 3) < 1e-12, "C(2, 1) = 1/3");
	ok(queue_erlang_c(3, 3) == 1, "saturated: always busy");
}

/* An hour of ticks as a guest might cause them: whatever comes, figures stay finite and in range.
 */
static void learning(void)
{
	struct estimator_interval seen = {.dt_s = 0.2};
	struct estimator est;

	estimator_init(&est);
	for (unsigned int i = 0; i < 18000; i++) {
		seen.inflow_bytes = i % 7 ? 0 : UINT64_MAX;
		seen.started = i % 3 ? 0 : UINT32_MAX;
		seen.completed = i % 5;
		seen.completed_bytes = 1e15;
		seen.completed_bytes2 = 1e30;
		estimator_observe(&est, &seen);
		estimator_track(&est, i < 9000);
		estimator_slo(&est, 1, 0.05, -INFINITY);
	}
	ok(isfinite(est.inflow_peak_bps) && isfinite(est.size_square), "absurd inflow is survived");
	ok(est.eps >= 0.005 && est.eps <= 0.1, "eps stays in its range");
	ok(est.theta >= 0.25 && est.theta <= 6, "theta stays in its range");
	estimator_forget_slo(&est);
	ok(est.eps > 0.05, "a stale guest: eps as at the start");
	seen = (struct estimator_interval){.dt_s = 0};
	estimator_observe(&est, &seen);
	ok(isfinite(est.inflow_bps), "an interval of no length is no interval");
}

static void residual(void)
{
	struct estimator est;

	estimator_init(&est);
	for (int i = 0; i < 500; i++)
		estimator_period(&est, 200000000, 100e6);
	ok(fabs(est.residual - log(2)) < 1e-3, "the residual learns a model that is half too low");
	ok(fabs(estimator_failsafe(&est, 0, 150e6, 15) - 300e6) < 1e6, "and fail-safe heeds it");
}

int main(void)
{
	erlang_c();
	validity();
	learning();
	residual();
	against_simulator(0.8, 0.5);
	against_simulator(1.5, 1);
	return done_testing();
}
