#include "energy/consumer.h"

#include <errno.h>
#include <math.h>

#include "base/cleanup.h"
#include "energy/usage.h"

static int usage(const struct consumer *c, double *cpu_s, double *busy_s)
{
	int err = usage_process(c->process, cpu_s);

	return err ? err : usage_machine(c->stat, busy_s);
}

int consumer_open(struct consumer *c, const char *proc, pid_t pid, struct energy machine)
{
	*c = (struct consumer){
		.process = usage_open(proc, pid),
		.stat = usage_open(proc, 0),
		.machine = machine,
		.used = {.joules = NAN, .source = machine.source, .estimated = true},
	};
	if (c->process < 0)
		return c->process;
	return c->stat < 0 ? c->stat : usage(c, &c->cpu_s, &c->busy_s);
}

void consumer_close(struct consumer *c)
{
	cleanup_close(&c->process);
	cleanup_close(&c->stat);
	c->process = c->stat = -1;
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
	double cpu_s, busy_s;
	int err = usage(c, &cpu_s, &busy_s);

	if (err) {
		c->used.gaps++;
		return err;
	}
	if (busy_s <= c->busy_s)
		return 0;
	add_interval(c, share(cpu_s - c->cpu_s, busy_s - c->busy_s), machine);
	c->cpu_s = cpu_s;
	c->busy_s = busy_s;
	c->machine = machine;
	return 0;
}

int consumer_read(struct consumer *c, struct energy machine, struct energy *used)
{
	int err = take(c, machine);

	*used = c->used;
	return err;
}
