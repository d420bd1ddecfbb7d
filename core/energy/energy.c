#include "energy/energy.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
	[ENERGY_NONE] = "none",
	[ENERGY_MODEL] = "model",
	[ENERGY_PERF] = "perf",
	[ENERGY_RAPL] = "rapl",
};
static_assert(sizeof(names) / sizeof(*names) == ENERGY_SOURCES, "a name for each source");

const char *energy_source_name(enum energy_source source)
{
	assert(source < ENERGY_SOURCES);
	return names[source];
}

int energy_source_parse(const char *name, enum energy_source *source)
{
	for (int i = 0; i < ENERGY_SOURCES; i++) {
		if (strcmp(name, names[i]) == 0) {
			*source = (enum energy_source)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *energy_format(struct energy energy, char *buf, size_t size)
{
	char amount[32] = "unknown";

	if (!isnan(energy.joules))
		snprintf(amount, sizeof(amount), "%.3g J", energy.joules);
	if (fabs(energy.joules) >= 100)
		snprintf(amount, sizeof(amount), "%.0f J", energy.joules);
	snprintf(buf, size, "%s (%s%s%s)", amount, energy_source_name(energy.source),
		 energy.estimated ? ", estimated" : "", energy.gaps ? ", partial" : "");
	return buf;
}

struct energy energy_between(struct energy before, struct energy now)
{
	if (before.source != now.source)
		return ENERGY_UNKNOWN;
	now.joules -= before.joules;
	now.gaps -= before.gaps;
	return now;
}

struct energy energy_per(struct energy total, double count)
{
	total.joules = count > 0 ? total.joules / count : NAN;
	return total;
}

struct energy energy_per_gigabyte(struct energy total, uint64_t bytes)
{
	return energy_per(total, (double)bytes / 1e9);
}

double energy_clients(uint64_t bytes, double seconds)
{
	return seconds > 0 ? (double)bytes * 8 / seconds / ENERGY_CLIENT_BPS : 0;
}

struct energy energy_per_client(struct energy total, uint64_t bytes, double seconds)
{
	return energy_per(total, energy_clients(bytes, seconds));
}
