#include "cmd/tune.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What a guest's records are worth: a word, and how many were turned away. */
static const char *guest_word(const struct tuner_decision *d, char buf[40])
{
	uint64_t rejected = d->nonsense;

	for (int i = 0; i < RECORD_NVERDICTS; i++)
		rejected += d->order->rejected[i];
	if (d->order->guest != CONTROL_GUEST_REJECTED)
		return d->order->guest == CONTROL_GUEST_OK ? "ok" : "stale";
	snprintf(buf, 40, "rejected %" PRIu64, rejected);
	return buf;
}

static const char *size(const struct common *common, double bytes, char buf[24])
{
	uint64_t whole = bytes > 0 ? (uint64_t)fmin(bytes, 0x1p62) : 0;

	if (common->exact)
		snprintf(buf, 24, "%" PRIu64, whole);
	else
		format_size(whole, buf);
	return buf;
}

/* ---- energy: of the VM, and never a number where none is known ---- */

static void print_joules(const char *name, struct energy e)
{
	if (isfinite(e.joules))
		printf(",\"%s\":%.6g", name, e.joules);
	else
		printf(",\"%s\":null", name);
}

static void print_energy(const struct tuner_decision *d)
{
	const struct tuner_vm *vm = d->vm;
	const struct energy total = vm->power.total;

	printf(",\"energy\":{\"source\":\"%s\",\"estimated\":%s,\"partial\":%s",
	       energy_source_name(total.source), total.estimated ? "true" : "false",
	       total.gaps ? "true" : "false");
	print_joules("joules", vm->power.period);
	print_joules("joules_total", total);
	print_joules("joules_per_job", energy_per(total, (double)vm->jobs));
	print_joules("joules_per_gigabyte", energy_per_gigabyte(total, vm->delivered_bytes));
	print_joules("joules_per_client",
		     energy_per_client(total, vm->delivered_bytes, d->counted_s));
	printf("}");
}

static const char *joules_word(struct energy e, char buf[24])
{
	if (isfinite(e.joules))
		snprintf(buf, 24, "%.3gJ", e.joules);
	else
		strcpy(buf, "unknown");
	return buf;
}

/* "1.25J/model", "unknown/none" */
static const char *energy_word(const struct tuner_decision *d, char buf[40])
{
	const struct energy e = d->vm->power.period;
	char joules[24];

	snprintf(buf, 40, "%s/%s", joules_word(e, joules), energy_source_name(e.source));
	return buf;
}

/* Since the start; "unknown" also while no job's record was believed. */
static const char *job_word(const struct tuner_decision *d, char buf[24])
{
	return joules_word(energy_per(d->vm->power.total, (double)d->vm->jobs), buf);
}

static void print_line(const struct common *common, const struct tuner_decision *d)
{
	const struct control_order *o = d->order;
	double slo_s = (double)d->wish->wish.slo_ns / 1e9;
	char guest[40], energy[40], b[10][24];

	printf("%s/%s %s -> %s why=%s used=%s peak=%s full=%.0f%% in=%s/s out=%s/s headroom=%s "
	       "p95=%.3g/%.3gs late=%.0f%% memlate=%.0f%% lambda=%.3g rho_d=%.2f rho_cpu=%.2f "
	       "model_q99=%s residual=%+.2f entitlement=%s drain=%s/s lent=%s/s energy=%s "
	       "per_job=%s guest=%s%s\n",
	       d->wish->name.vm, d->wish->name.space, size(common, (double)d->from_bytes, b[0]),
	       size(common, (double)d->facts->size_bytes, b[1]), control_reason_name(o->reason),
	       size(common, (double)d->facts->used_bytes, b[2]),
	       size(common, (double)d->peak_bytes, b[3]), 100 * o->full,
	       size(common, d->in_bps, b[4]), size(common, d->out_bps, b[5]),
	       size(common, (double)o->headroom_bytes, b[6]), o->p95_s, slo_s, 100 * o->late,
	       100 * o->memory_late, o->lambda, o->rho_drain, o->rho_cpu,
	       size(common, o->model_q99_bytes, b[7]), o->residual,
	       size(common, (double)o->entitlement_bytes, (char[24]){0}),
	       size(common, d->facts->drain_bps, b[8]), size(common, d->lent_bps, b[9]),
	       energy_word(d, energy), job_word(d, (char[24]){0}), guest_word(d, guest),
	       d->counterfactual ? " counterfactual" : "");
}

/* The wall clock, for people and databases; nothing is computed from it. */
static double wall_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_alarms(unsigned int alarms)
{
	const char *comma = "";

	printf(",\"alarms\":[");
	for (int bit = 0; bit < CONTROL_NALARMS; bit++) {
		if (!(alarms & (1u << bit)))
			continue;
		printf("%s\"%s\"", comma, control_alarm_text(1u << bit));
		comma = ",";
	}
	printf("]");
}

/* The numbers of a decision, in the order in which -H prints them. */
struct member {
	const char *name;
	double value;
};
#define MEMBERS 23

static void numbers(const struct tuner_decision *d, struct member members[MEMBERS])
{
	const struct control_order *o = d->order;
	const struct member all[MEMBERS] = {
		{"from_bytes", (double)d->from_bytes},
		{"size_bytes", (double)d->facts->size_bytes},
		{"used_bytes", (double)d->facts->used_bytes},
		{"peak_bytes", (double)d->peak_bytes},
		{"headroom_bytes", (double)o->headroom_bytes},
		{"entitlement_bytes", (double)o->entitlement_bytes},
		{"model_q99_bytes", round(o->model_q99_bytes)},
		{"in_bytes_per_s", round(d->in_bps)},
		{"out_bytes_per_s", round(d->out_bps)},
		{"full", o->full},
		{"p95_s", o->p95_s},
		{"slo_s", (double)d->wish->wish.slo_ns / 1e9},
		{"late", o->late},
		{"memory_late", o->memory_late},
		{"lambda", o->lambda},
		{"rho_drain", o->rho_drain},
		{"rho_cpu", o->rho_cpu},
		{"residual", o->residual},
		{"growing", d->facts->growing},
		{"deliverable", d->facts->deliverable},
		{"drain_bytes_per_s", round(d->facts->drain_bps)},
		{"client_bytes_per_s", round(d->facts->client_bps)},
		{"lent_bytes_per_s", d->lent_bps},
	};

	for (size_t i = 0; i < MEMBERS; i++) {
		members[i] = all[i];
		if (!isfinite(members[i].value))
			members[i].value = 0;
	}
}

static void print_json(const struct tuner_decision *d)
{
	struct member members[MEMBERS];
	char guest[40];

	numbers(d, members);
	printf("{\"schema\":1,\"time\":%.3f,\"space\":\"%s/%s\",\"why\":\"%s\",\"period\":%s",
	       wall_s(), d->wish->name.vm, d->wish->name.space,
	       control_reason_name(d->order->reason), d->period ? "true" : "false");
	for (size_t i = 0; i < MEMBERS; i++)
		printf(",\"%s\":%.12g", members[i].name, members[i].value);
	printf(",\"guest\":\"%s\",\"counterfactual\":%s", guest_word(d, guest),
	       d->counterfactual ? "true" : "false");
	print_energy(d);
	print_alarms(d->order->alarms);
	printf("}\n");
}

static void print_bare(const struct tuner_decision *d)
{
	struct member members[MEMBERS];
	char guest[40], energy[40];

	numbers(d, members);
	printf("%.3f\t%s/%s\t%s", wall_s(), d->wish->name.vm, d->wish->name.space,
	       control_reason_name(d->order->reason));
	for (size_t i = 0; i < MEMBERS; i++)
		printf("\t%.12g", members[i].value);
	printf("\t%s\t%s\t%s\n", guest_word(d, guest), d->counterfactual ? "counterfactual" : "-",
	       energy_word(d, energy));
}

/* Written with stdio's buffer of its own and no memory taken: this goes on for months. */
void tune_print(const struct common *common, const struct tuner_decision *d)
{
	if (common->json)
		print_json(d);
	else if (common->bare)
		print_bare(d);
	else
		print_line(common, d);
}
