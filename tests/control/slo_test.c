#include "control/slo.h"

#include <math.h>

#include "tests/tap.h"

#define S UINT64_C(1000000000)

static void count(struct slo_watch *watch, int64_t arrival_s, int64_t end_s)
{
	struct job_record record = {arrival_s * (int64_t)S, arrival_s * (int64_t)S,
				    end_s * (int64_t)S, 1, 0};

	slo_count(watch, &record);
}

static void causes(void)
{
	struct slo_watch watch;
	struct slo_report report;

	slo_init(&watch);
	slo_full(&watch, 100 * S, 102 * S);
	slo_full(&watch, 102 * S, 106 * S);
	is_int(watch.nspells, 1, "adjoining spells are one");
	count(&watch, 99, 107);	 /* 8 s, 6 of them full: late for want of memory */
	count(&watch, 108, 118); /* 10 s, none full: late by itself */
	count(&watch, 110, 111);
	count(&watch, 10, 30); /* before the window */
	slo_report(&watch, 120 * S, 30 * S, 6.8, 0.95, &report);
	is_int(report.jobs, 3, "jobs in the window");
	ok(fabs(report.late - 2.0 / 3) < 1e-9, "two late");
	ok(fabs(report.memory_late - 1.0 / 3) < 1e-9, "one for want of memory");
	ok(fabs(report.p95_s - 10) < 1e-6, "the slowest is the 95th percentile of three");
	ok(fabs(report.full - 0.2) < 1e-9, "full for 6 s of 30");
}

static void quantile(void)
{
	struct slo_watch watch;
	struct slo_report report;

	slo_init(&watch);
	for (int64_t i = 1; i <= 100; i++)
		count(&watch, 200 - i, 200);
	slo_report(&watch, 200 * S, 30 * S, 1000, 0.95, &report);
	ok(fabs(report.p95_s - 95) < 1e-6, "95th of 1 to 100");
	for (int64_t i = 0; i < 10000; i++)
		count(&watch, 199, 200);
	slo_report(&watch, 200 * S, 30 * S, 1000, 0.95, &report);
	is_int(report.jobs, SLO_JOBS, "a flood leaves the latest");
	ok(fabs(report.p95_s - 1) < 1e-6, "and their percentile");
}

static void nothing(void)
{
	struct slo_watch watch;
	struct slo_report report;

	slo_init(&watch);
	slo_report(&watch, S, 30 * S, 6.8, 0.95, &report);
	ok(report.jobs == 0 && report.late == 0 && report.p95_s == 0, "no jobs, no lateness");
}

int main(void)
{
	causes();
	quantile();
	nothing();
	return done_testing();
}
