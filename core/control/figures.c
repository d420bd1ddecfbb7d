#include "control/figures.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "control/tuner.h"

/* `plain`: the older text format, in which a counter's family has the name of its samples. */
struct page {
	char *buf;
	size_t size, at;
	bool plain;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *p, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(p->buf + p->at, p->size - p->at, fmt, args);
	va_end(args);
	if (n > 0)
		p->at += (size_t)n < p->size - p->at ? (size_t)n : p->size - p->at - 1;
}

static void head(struct page *p, const char *name, const char *type, const char *help)
{
	const char *suffix = p->plain && strcmp(type, "counter") == 0 ? "_total" : "";

	put(p, "# TYPE memnet_tune_%s%s %s\n# HELP memnet_tune_%s%s %s\n", name, suffix, type, name,
	    suffix, help);
}

/* One figure of a space. */
struct view {
	const struct tuner_wish *wish;
	const struct tuner_space *space;
	const struct control_facts *facts;
	const struct control_order *order;
};

struct figure {
	const char *name, *type, *help;
	double (*of)(const struct view *v);
};

#define FIGURE(name, expression)                                                                   \
	static double name(const struct view *v)                                                   \
	{                                                                                          \
		return (double)(expression);                                                       \
	}

FIGURE(present_of, !v->facts->absent)
FIGURE(size_of, v->facts->size_bytes)
FIGURE(used_of, v->facts->used_bytes)
FIGURE(headroom_of, v->order->headroom_bytes)
FIGURE(entitlement_of, v->order->entitlement_bytes)
FIGURE(model_of, v->order->model_q99_bytes)
FIGURE(residual_of, v->order->residual)
FIGURE(full_of, v->order->full)
FIGURE(p95_of, v->order->p95_s)
FIGURE(slo_of, (double)v->wish->wish.slo_ns / 1e9)
FIGURE(late_of, v->order->late)
FIGURE(memory_late_of, v->order->memory_late)
FIGURE(lambda_of, v->order->lambda)
FIGURE(rho_drain_of, v->order->rho_drain)
FIGURE(rho_cpu_of, v->order->rho_cpu)
FIGURE(growing_of, v->facts->growing)
FIGURE(deliverable_of, v->facts->deliverable)
FIGURE(in_of, v->space->in_total)
FIGURE(out_of, v->space->out_total)
FIGURE(resizes_of, v->space->resizes)
FIGURE(drain_of, v->facts->drain_bps)
FIGURE(client_of, v->facts->client_bps)
FIGURE(lent_of, v->space->streaming.lent_bps)
FIGURE(stale_of, v->order->guest == CONTROL_GUEST_STALE)

static const struct figure figures[] = {
	{"space_present", "gauge", "Whether the space is there.", present_of},
	{"space_size_bytes", "gauge", "Its size.", size_of},
	{"space_used_bytes", "gauge", "What it holds.", used_of},
	{"space_headroom_bytes", "gauge", "Room above the use that it is to have.", headroom_of},
	{"space_entitlement_bytes", "gauge", "Its share of the budget.", entitlement_of},
	{"space_model_q99_bytes", "gauge", "What it holds less than, 99 % of the time, by model.",
	 model_of},
	{"space_residual", "gauge", "ln of measured by predicted peak.", residual_of},
	{"space_full_ratio", "gauge", "Part of the window in which it was full.", full_of},
	{"space_response_p95_seconds", "gauge", "95th percentile of its jobs' response.", p95_of},
	{"space_objective_seconds", "gauge", "What that is to stay below; 0: none.", slo_of},
	{"space_late_ratio", "gauge", "Part of its jobs that were late.", late_of},
	{"space_memory_late_ratio", "gauge", "Part that was late for want of room.",
	 memory_late_of},
	{"space_objects_per_second", "gauge", "Objects begun.", lambda_of},
	{"space_drain_load_ratio", "gauge", "Load of its drain.", rho_drain_of},
	{"space_cpu_load_ratio", "gauge", "Load of its VM's CPUs; 0: not known.", rho_cpu_of},
	{"space_growing_objects", "gauge", "Objects being written.", growing_of},
	{"space_deliverable_objects", "gauge", "Objects complete and not released.",
	 deliverable_of},
	{"space_inflow_bytes", "counter", "Bytes written into it.", in_of},
	{"space_delivered_bytes", "counter", "Bytes delivered from it.", out_of},
	{"space_resizes", "counter", "Times its size was changed.", resizes_of},
	{"space_drain_bytes_per_second", "gauge", "What its clients take at most; 0: not known.",
	 drain_of},
	{"space_client_bytes_per_second", "gauge", "What one of them takes; 0: not known.",
	 client_of},
	{"space_lent_bytes_per_second", "gauge",
	 "Rate at which its streams send, that others may go first; 0: any.", lent_of},
	{"space_guest_stale", "gauge", "Whether its guest has sent no record for a while.",
	 stale_of},
};

static struct view view_of(const struct tuner *t, size_t i)
{
	return (struct view){&t->config->space[i], &t->space[i], &t->facts[i], &t->order[i]};
}

static void put_figure(struct page *p, const struct tuner *t, const struct figure *f)
{
	const char *suffix = strcmp(f->type, "counter") == 0 ? "_total" : "";

	head(p, f->name, f->type, f->help);
	for (size_t i = 0; i < t->config->nspaces; i++) {
		const struct view v = view_of(t, i);

		put(p, "memnet_tune_%s%s{space=\"%s/%s\"} %.15g\n", f->name, suffix,
		    v.wish->name.vm, v.wish->name.space, f->of(&v));
	}
}

static void put_rejected(struct page *p, const struct tuner *t)
{
	head(p, "space_rejected_records", "counter", "Records not believed, by reason.");
	for (size_t i = 0; i < t->config->nspaces; i++) {
		const struct view v = view_of(t, i);

		for (int k = RECORD_OK + 1; k < RECORD_NVERDICTS; k++)
			put(p,
			    "memnet_tune_space_rejected_records_total{space=\"%s/%s\",reason=\"%s\""
			    "} %llu\n",
			    v.wish->name.vm, v.wish->name.space, record_verdict_name(k),
			    (unsigned long long)v.order->rejected[k]);
		put(p,
		    "memnet_tune_space_rejected_records_total{space=\"%s/%s\",reason=\"nonsense\"} "
		    "%llu\n",
		    v.wish->name.vm, v.wish->name.space,
		    (unsigned long long)v.space->profiler.intake.nonsense);
	}
}

/* Labels are short and stay; control_alarm_text() is for people. */
static const char *const alarm_names[] = {"cpu_bound",	    "drain_overload", "deadlock",
					  "object_too_big", "payback",	      "overcommitted"};
static_assert(sizeof(alarm_names) / sizeof(*alarm_names) == CONTROL_NALARMS, "one name each");

static void put_alarms(struct page *p, const struct tuner *t)
{
	head(p, "space_alarm", "gauge", "1 while it is raised.");
	for (size_t i = 0; i < t->config->nspaces; i++) {
		for (int bit = 0; bit < CONTROL_NALARMS; bit++)
			put(p, "memnet_tune_space_alarm{space=\"%s/%s\",alarm=\"%s\"} %d\n",
			    t->config->space[i].name.vm, t->config->space[i].name.space,
			    alarm_names[bit], (t->order[i].alarms & (1u << bit)) != 0);
	}
}

static void put_vms(struct page *p, const struct tuner *t)
{
	head(p, "vm_vcpus", "gauge", "Virtual CPUs; 0: not known.");
	for (size_t i = 0; i < t->nvms; i++)
		put(p, "memnet_tune_vm_vcpus{vm=\"%s\"} %u\n", t->vm[i].name, t->vm[i].vcpus.count);
	head(p, "vm_cpu_seconds", "counter", "CPU time of its vCPUs.");
	for (size_t i = 0; i < t->nvms; i++)
		put(p, "memnet_tune_vm_cpu_seconds_total{vm=\"%s\"} %.6f\n", t->vm[i].name,
		    t->vm[i].vcpus.cpu_total_s);
	head(p, "vm_run_delay_seconds", "counter", "Time its vCPUs waited for a CPU to run on.");
	for (size_t i = 0; i < t->nvms; i++)
		put(p, "memnet_tune_vm_run_delay_seconds_total{vm=\"%s\"} %.6f\n", t->vm[i].name,
		    t->vm[i].vcpus.delay_total_s);
}

/* A stream that was found, and is not one of those that were named. */
static bool found(const struct tuner *t, const struct stream_link *l)
{
	for (size_t i = 0; i < t->config->nstreams; i++) {
		if (t->stream[i].port == l->stream.port)
			return false;
	}
	return l->stream.port != 0;
}

/* One figure of each stream's connections. */
#define PUT_CONNECTIONS(p, t, name, help, format, member)                                          \
	do {                                                                                       \
		head(p, name, "gauge", help);                                                      \
		for (size_t i_ = 0; i_ < (t)->config->nstreams; i_++)                              \
			put(p, "memnet_tune_" name "{stream=\"%s\"} " format "\n",                 \
			    (t)->stream[i_].address, (t)->connections[i_].member);                 \
		for (size_t i_ = 0; i_ < STREAMS_MAX; i_++) {                                      \
			const struct stream_link *l_ = &(t)->streams->link[i_];                    \
			if (found(t, l_))                                                          \
				put(p, "memnet_tune_" name "{stream=\"%s\"} " format "\n",         \
				    l_->stream.listen, l_->connections.member);                    \
		}                                                                                  \
	} while (0)

/* Joules, with their source. A counter that is not known has no sample. */
static void put_joules(struct page *p, const char *name, const char *vm, struct energy e)
{
	char value[32] = "NaN";

	if (isfinite(e.joules))
		snprintf(value, sizeof(value), "%.6f", e.joules);
	else if (strstr(name, "_total"))
		return;
	put(p, "memnet_tune_%s{%s%s%ssource=\"%s\"} %s\n", name, vm ? "vm=\"" : "", vm ? vm : "",
	    vm ? "\"," : "", energy_source_name(e.source), value);
}

static void put_energy(struct page *p, const struct tuner *t)
{
	head(p, "energy_joules", "counter", "Energy used by the machine.");
	put_joules(p, "energy_joules_total", NULL, t->power.machine);
	head(p, "vm_energy_joules", "counter", "Energy used by it, estimated by its CPU time.");
	for (size_t i = 0; i < t->nvms; i++)
		put_joules(p, "vm_energy_joules_total", t->vm[i].name, t->vm[i].power.total);
	head(p, "vm_joules_per_job", "gauge", "The same by records of jobs.");
	for (size_t i = 0; i < t->nvms; i++)
		put_joules(p, "vm_joules_per_job", t->vm[i].name,
			   energy_per(t->vm[i].power.total, (double)t->vm[i].jobs));
	head(p, "vm_joules_per_gigabyte", "gauge", "The same by 1e9 bytes delivered.");
	for (size_t i = 0; i < t->nvms; i++)
		put_joules(p, "vm_joules_per_gigabyte", t->vm[i].name,
			   energy_per_gigabyte(t->vm[i].power.total, t->vm[i].delivered_bytes));
	head(p, "vm_joules_per_client", "gauge",
	     "The same by as many clients of 2 Mbit/s as that would have fed.");
	for (size_t i = 0; i < t->nvms; i++)
		put_joules(p, "vm_joules_per_client", t->vm[i].name,
			   energy_per_client(t->vm[i].power.total, t->vm[i].delivered_bytes,
					     (double)(t->last_ns - t->vm[i].since_ns) / 1e9));
}

static void put_network(struct page *p, const struct tuner *t)
{
	const struct uplink *u = &t->uplink;

	PUT_CONNECTIONS(p, t, "stream_clients", "TCP connections of clients.", "%u", count);
	PUT_CONNECTIONS(p, t, "stream_unacked_bytes", "Sent, or about to be, and not acknowledged.",
			"%" PRIu64, unacked_bytes);
	PUT_CONNECTIONS(p, t, "stream_delivery_bytes_per_second",
			"What a client's path takes, on average; 0: not known.", "%.0f",
			delivery_bps);
	PUT_CONNECTIONS(p, t, "stream_round_trip_seconds", "On average.", "%.6f", round_trip_s);
	if (!u->device[0])
		return;
	head(p, "uplink_sent_bytes", "counter", "Sent by the uplink.");
	put(p, "memnet_tune_uplink_sent_bytes_total{device=\"%s\"} %" PRIu64 "\n", u->device,
	    u->sent_bytes);
	head(p, "uplink_speed_bytes_per_second", "gauge", "Its speed; 0: not known.");
	put(p, "memnet_tune_uplink_speed_bytes_per_second{device=\"%s\"} %.0f\n", u->device,
	    u->speed_bps);
}

static void put_memory(struct page *p, const struct tuner *t)
{
	const struct host_memory *m = &t->memory;

	if (m->total_bytes) {
		head(p, "host_memory_bytes", "gauge", "Memory of the host.");
		put(p, "memnet_tune_host_memory_bytes %" PRIu64 "\n", m->total_bytes);
		head(p, "host_memory_available_bytes", "gauge", "What is left of it.");
		put(p, "memnet_tune_host_memory_available_bytes %" PRIu64 "\n", m->available_bytes);
	}
	if (!m->pressure)
		return;
	head(p, "host_memory_stall_seconds", "counter",
	     "Time in which some task of the host, or all, waited for memory.");
	put(p, "memnet_tune_host_memory_stall_seconds_total{tasks=\"some\"} %.6f\n", m->some_s);
	put(p, "memnet_tune_host_memory_stall_seconds_total{tasks=\"all\"} %.6f\n", m->full_s);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void put_loop(struct page *p, const struct tuner *t)
{
	head(p, "budget_bytes", "gauge", "For all spaces together; 0: none.");
	put(p, "memnet_tune_budget_bytes %llu\n",
	    (unsigned long long)t->config->tuning.budget_bytes);
	head(p, "periods", "counter", "Periods since the start.");
	put(p, "memnet_tune_periods_total %u\n", t->periods);
	head(p, "cpu_seconds", "counter", "CPU time used.");
	put(p, "memnet_tune_cpu_seconds_total %.6f\n", cpu_seconds());
}

static int format(const struct tuner *t, char *buf, size_t size, bool plain)
{
	struct page p = {buf, size, 0, plain};

	put_loop(&p, t);
	for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		put_figure(&p, t, &figures[i]);
	put_vms(&p, t);
	put_network(&p, t);
	put_energy(&p, t);
	put_memory(&p, t);
	put_rejected(&p, t);
	put_alarms(&p, t);
	if (!plain)
		put(&p, "# EOF\n");
	return p.at + 1 >= size ? -ENOSPC : (int)p.at;
}

int figures_format(const struct tuner *t, char *buf, size_t size)
{
	return format(t, buf, size, false);
}

int figures_write(const struct tuner *t, char *buf, size_t size, const char *path)
{
	char part[PATH_MAX];
	int n = format(t, buf, size, true);
	cleanup_fd int fd = -1;
	int err;

	if (n < 0)
		return n;
	if ((size_t)snprintf(part, sizeof(part), "%s.part", path) >= sizeof(part))
		return -ENAMETOOLONG;
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	err = io_write_all(fd, buf, (size_t)n);
	if (!err && rename(part, path) < 0)
		err = -errno;
	if (err)
		unlink(part);
	return err;
}
