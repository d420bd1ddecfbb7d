#include "control/slo.h"

#include <math.h>
#include <string.h>

#define NS 1e-9

void slo_init(struct slo_watch *watch)
{
	memset(watch, 0, sizeof(*watch));
}

void slo_full(struct slo_watch *watch, uint64_t from_ns, uint64_t to_ns)
{
	struct slo_spell *last = &watch->spell[(watch->nspells + SLO_SPELLS - 1) % SLO_SPELLS];

	if (watch->nspells && last->to_ns == from_ns)
		last->to_ns = to_ns;
	else
		watch->spell[watch->nspells++ % SLO_SPELLS] = (struct slo_spell){from_ns, to_ns};
}

static double full_within_s(const struct slo_watch *watch, uint64_t from_ns, uint64_t to_ns)
{
	unsigned int n = watch->nspells < SLO_SPELLS ? watch->nspells : SLO_SPELLS;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t from = watch->spell[i].from_ns, to = watch->spell[i].to_ns;

		from = from > from_ns ? from : from_ns;
		to = to < to_ns ? to : to_ns;
		sum += to > from ? to - from : 0;
	}
	return (double)sum * NS;
}

void slo_count(struct slo_watch *watch, const struct job_record *record)
{
	uint64_t arrival = record->arrival_ns > 0 ? (uint64_t)record->arrival_ns : 0;
	uint64_t end = record->end_ns > 0 ? (uint64_t)record->end_ns : 0;

	watch->job[watch->njobs++ % SLO_JOBS] = (struct slo_job){
		.end_ns = end,
		.response_s = (float)((double)(record->end_ns - record->arrival_ns) * NS),
		.full_s = (float)full_within_s(watch, arrival, end),
	};
}

/* How many slow jobs the quantile of a full ring leaves above it, and the one it is. */
#define SLOWEST (SLO_JOBS / 10)

struct slowest {
	float response_s[SLOWEST]; /* descending */
	unsigned int n;
};

static void slowest_add(struct slowest *slow, float response_s)
{
	unsigned int i = slow->n < SLOWEST ? slow->n++ : SLOWEST - 1;

	if (i == SLOWEST - 1 && slow->response_s[i] >= response_s && slow->n == SLOWEST)
		return;
	for (; i > 0 && slow->response_s[i - 1] < response_s; i--)
		slow->response_s[i] = slow->response_s[i - 1];
	slow->response_s[i] = response_s;
}

void slo_report(const struct slo_watch *watch, uint64_t now_ns, uint64_t window_ns, double limit_s,
		double share, struct slo_report *report)
{
	unsigned int n = watch->njobs < SLO_JOBS ? watch->njobs : SLO_JOBS;
	uint64_t since_ns = now_ns > window_ns ? now_ns - window_ns : 0;
	unsigned int late = 0, memory_late = 0, above;
	struct slowest slow = {.n = 0};

	memset(report, 0, sizeof(*report));
	for (unsigned int i = 0; i < n; i++) {
		const struct slo_job *job = &watch->job[i];

		if (job->end_ns < since_ns)
			continue;
		report->jobs++;
		slowest_add(&slow, job->response_s);
		late += job->response_s > limit_s;
		memory_late +=
			job->response_s > limit_s && job->response_s - job->full_s <= limit_s;
	}
	report->full = full_within_s(watch, since_ns, now_ns) / ((double)window_ns * NS);
	if (!report->jobs)
		return;
	above = (unsigned int)((1 - share) * report->jobs);
	report->p95_s = slow.response_s[above < slow.n ? above : slow.n - 1];
	report->late = (double)late / report->jobs;
	report->memory_late = (double)memory_late / report->jobs;
}
