#include "energy/meter.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "energy/perf.h"
#include "energy/rapl.h"
#include "energy/usage.h"

struct meter {
	enum energy_source source;
	union {
		struct rapl rapl;
		struct perf perf;
		struct model model;
	};
	unsigned int gaps; /* the note tells of the first */
	char note[1024];
};

struct meter_options meter_defaults(void)
{
	return (struct meter_options){
		.sources = METER_ALL,
		.powercap = RAPL_ROOT,
		.pmu = PERF_ROOT,
		.proc = USAGE_PROC,
		.watts = {.idle_watts = NAN, .core_watts = NAN},
	};
}

static void note(struct meter *m, const char *what, const char *text)
{
	size_t len = strlen(m->note);

	snprintf(m->note + len, sizeof(m->note) - len, "%s%s: %s", len ? "; " : "", what, text);
}

static void source_close(struct meter *m)
{
	if (m->source == ENERGY_RAPL)
		rapl_close(&m->rapl);
	if (m->source == ENERGY_PERF)
		perf_close(&m->perf);
	if (m->source == ENERGY_MODEL)
		model_close(&m->model);
	m->source = ENERGY_NONE;
}

static int source_open(struct meter *m, enum energy_source source, const struct meter_options *o,
		       struct mn_error *e)
{
	m->source = source;
	switch (source) {
	case ENERGY_RAPL: return rapl_open(&m->rapl, o->powercap, e);
	case ENERGY_PERF: return perf_open(&m->perf, o->pmu, e);
	case ENERGY_MODEL: return model_open(&m->model, o->proc, o->watts, e);
	case ENERGY_NONE: return 0;
	}
	return -EINVAL;
}

/* Tries one source. Whether it is the one; wrong watts are an error, all else a reason to go on. */
static int try_source(struct meter *m, enum energy_source source, const struct meter_options *o,
		      struct mn_error *e)
{
	struct mn_error why = MN_ERROR_INIT;
	int err = source_open(m, source, o, &why);

	if (!err)
		return 1;
	source_close(m);
	if (err == -EINVAL && source == ENERGY_MODEL)
		return mn_fail(e, why.status, EINVAL, "%s", why.text);
	note(m, energy_source_name(source), why.text);
	return 0;
}

static int choose(struct meter *m, const struct meter_options *o, struct mn_error *e)
{
	for (int source = ENERGY_RAPL; source >= ENERGY_NONE; source--) {
		int taken = 0;

		if (o->sources & 1U << source)
			taken = try_source(m, (enum energy_source)source, o, e);
		if (taken)
			return taken < 0 ? taken : 0;
	}
	return mn_fail(e, MN_FAILED, ENODEV, "energy: no source: %s", m->note);
}

int meter_open(struct meter **meter, const struct meter_options *options, struct mn_error *e)
{
	const struct meter_options defaults = meter_defaults();
	struct meter *m = calloc(1, sizeof(*m));
	int err;

	*meter = NULL;
	if (!m)
		return mn_fail_errno(e, ENOMEM, "energy");
	err = choose(m, options ? options : &defaults, e);
	if (err) {
		free(m);
		return err;
	}
	*meter = m;
	return 0;
}

void meter_close(struct meter *m)
{
	if (m)
		source_close(m);
	free(m);
}

static void set_gaps(struct meter *m, unsigned int gaps, const char *what)
{
	if (gaps > 0 && m->gaps == 0)
		note(m, "partial", what);
	m->gaps = gaps;
}

/* Reads the source; -errno where it cannot be. */
static int source_read(struct meter *m, double *joules)
{
	int err = -ENODEV;

	switch (m->source) {
	case ENERGY_RAPL:
		err = rapl_read(&m->rapl);
		*joules = m->rapl.joules;
		set_gaps(m, m->rapl.gaps, m->rapl.lost);
		break;
	case ENERGY_PERF:
		err = perf_read(&m->perf);
		*joules = m->perf.joules;
		set_gaps(m, m->perf.gaps, "a counter has ended");
		break;
	case ENERGY_MODEL:
		err = model_read(&m->model);
		*joules = m->model.joules;
		break;
	case ENERGY_NONE: break;
	}
	return err;
}

struct energy meter_read(struct meter *m)
{
	struct energy energy = {.source = m->source};

	if (source_read(m, &energy.joules))
		energy.joules = NAN;
	energy.gaps = m->gaps;
	return energy;
}

enum energy_source meter_source(const struct meter *m)
{
	return m->source;
}

static void describe_zones(const struct rapl *r, char *buf, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < r->count && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "",
					r->zone[i].name);
}

const char *meter_describe(const struct meter *m, char *buf, size_t size)
{
	switch (m->source) {
	case ENERGY_RAPL: describe_zones(&m->rapl, buf, size); break;
	case ENERGY_PERF: snprintf(buf, size, "perf counters: %zu", m->perf.count); break;
	case ENERGY_MODEL:
		snprintf(buf, size, "%g W idle, %g W for each busy CPU", m->model.watts.idle_watts,
			 m->model.watts.core_watts);
		break;
	case ENERGY_NONE: snprintf(buf, size, "nothing"); break;
	}
	return buf;
}

const char *meter_note(const struct meter *m)
{
	return m->note;
}

double meter_period_s(const struct meter *m)
{
	return m->source == ENERGY_RAPL ? rapl_period_s(&m->rapl) : INFINITY;
}
