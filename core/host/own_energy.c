#include "host/own_energy.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define PERIOD_S 1.0

static void tick(struct timer *t)
{
	struct own_energy *p = container_of(t, struct own_energy, timer);

	own_energy_read(p);
	loop_timer_set(p->loop, t, p->loop->now_ns + p->period_ns);
}

int own_energy_open(struct own_energy *p, const struct meter_options *options, struct mn_error *e)
{
	char what[256];
	int err;

	*p = (struct own_energy){.consumer = {.process = -1, .stat = -1}, .used = ENERGY_UNKNOWN};
	if (!options)
		return 0;
	err = meter_open(&p->meter, options, e);
	if (err)
		return err;
	p->since_ns = clock_ns();
	p->period_ns = (int64_t)(fmin(PERIOD_S, meter_period_s(p->meter) / 2) * NS_PER_S);
	p->timer.fire = tick;
	log_debug("energy: %s: %s", energy_source_name(meter_source(p->meter)),
		  meter_describe(p->meter, what, sizeof(what)));
	if (*meter_note(p->meter))
		log_debug("energy: %s", meter_note(p->meter));
	p->used.source = meter_source(p->meter);
	err = consumer_open(&p->consumer, options->proc, getpid(), meter_read(p->meter));
	if (err)
		log_debug("energy: no CPU time of our own: %s", strerror(-err));
	return 0;
}

void own_energy_close(struct own_energy *p)
{
	consumer_close(&p->consumer);
	meter_close(p->meter);
	p->meter = NULL;
}

void own_energy_read(struct own_energy *p)
{
	if (p->consumer.process >= 0)
		consumer_read(&p->consumer, meter_read(p->meter), &p->used);
}

void own_energy_start(struct own_energy *p, struct loop *loop)
{
	p->loop = loop;
	if (p->meter && meter_source(p->meter) != ENERGY_NONE)
		loop_timer_set(loop, &p->timer, loop->now_ns + p->period_ns);
}

static void gauge(FILE *f, const char *name, const char *help, struct energy e)
{
	fprintf(f, "# TYPE %s gauge\n# HELP %s %s\n%s{source=\"%s\"} ", name, name, help, name,
		energy_source_name(e.source));
	if (isnan(e.joules))
		fprintf(f, "NaN\n");
	else
		fprintf(f, "%.6g\n", e.joules);
}

/* A counter that is not known has no sample: there is no NaN for it, and 0 would be a lie. */
void own_energy_print(const struct own_energy *p, uint64_t sent_bytes, int64_t now_ns, FILE *f)
{
	const double seconds = (double)(now_ns - p->since_ns) / NS_PER_S;

	if (!p->meter)
		return;
	fprintf(f, "# TYPE memnet_energy_joules counter\n# HELP memnet_energy_joules Energy used, "
		   "estimated by CPU time.\n");
	if (!isnan(p->used.joules))
		fprintf(f, "memnet_energy_joules_total{source=\"%s\"} %.6f\n",
			energy_source_name(p->used.source), p->used.joules);
	gauge(f, "memnet_energy_joules_per_gigabyte", "The same by 1e9 bytes sent.",
	      energy_per_gigabyte(p->used, sent_bytes));
	gauge(f, "memnet_energy_joules_per_client",
	      "The same by as many clients of 2 Mbit/s as that would have fed.",
	      energy_per_client(p->used, sent_bytes, seconds));
}
