#include "energy/consumer.h"

#include <errno.h>
#include <math.h>

#include "energy/usage.h"

static int usage(const struct consumer *c, struct process_usage *process,
		 struct machine_usage *machine)
{
	int err = usage_process(c->proc, c->pid, process);

	return err ? err : usage_machine(c->proc, machine);
}

int consumer_open(struct consumer *c, const char *proc, pid_t pid, struct energy machine)
{
	struct process_usage process;
	struct machine_usage all;
	int err;

	*c = (struct consumer){.proc = proc, .pid = pid, .machine = machine};
	c->used = (struct energy){.joules = NAN, .source = machine.source, .estimated = true};
	err = usage(c, &process, &all);
	if (err)
		return err;
	c->started = process.started;
	c->cpu_s = process.cpu_s;
	c->busy_s = all.busy_s;
	return 0;
}

/* Ticks and exact times are rounded each in its own way: no share is above the whole. */
static double share(double cpu_s, double busy_s)
{
	double part = cpu_s / busy_s;

	return part < 0 ? 0 : part > 1 ? 1 : part;
}

static void add_interval(struct consumer *c, double part, struct energy machine)
{
	struct energy interval = energy_between(c->machine, machine);

	if (isnan(interval.joules)) {
		c->used.gaps += machine.source != ENERGY_NONE;
		return;
	}
	c->used.gaps += interval.gaps;
	c->used.joules = (isnan(c->used.joules) ? 0 : c->used.joules) + interval.joules * part;
}

static int take(struct consumer *c, struct energy machine)
{
	struct process_usage process;
	struct machine_usage all;
	int err = usage(c, &process, &all);

	if (!err && process.started != c->started)
		err = -ESRCH;
	if (err) {
		c->used.gaps++;
		return err;
	}
	if (all.busy_s <= c->busy_s)
		return 0;
	add_interval(c, share(process.cpu_s - c->cpu_s, all.busy_s - c->busy_s), machine);
	c->cpu_s = process.cpu_s;
	c->busy_s = all.busy_s;
	c->machine = machine;
	return 0;
}

int consumer_read(struct consumer *c, struct energy machine, struct energy *used)
{
	int err = take(c, machine);

	*used = c->used;
	return err;
}
