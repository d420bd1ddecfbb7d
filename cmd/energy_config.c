#include "cmd/energy_config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/config.h"

static int take_source(unsigned int *sources, const char *value, struct mn_error *e)
{
	enum energy_source source;

	if (strcmp(value, "auto") == 0) {
		*sources = METER_ALL;
		return 0;
	}
	if (energy_source_parse(value, &source))
		return mn_fail(e, MN_USAGE, EINVAL,
			       "bad source \"%.64s\": want auto, rapl, perf, model or none", value);
	*sources = 1U << source;
	return 0;
}

/* strtod() would also take signs, spaces, exponents, hexadecimal, "nan" and "inf". */
static int take_watts(double *watts, const char *value, struct mn_error *e)
{
	char *end;

	*watts = strtod(value, &end);
	if (!isdigit((unsigned char)*value) || strspn(value, "0123456789.") != strlen(value) ||
	    *end || *watts > MODEL_WATTS_MAX)
		return mn_fail(e, MN_USAGE, EINVAL, "bad watts \"%.64s\": want 0 to %.0f, as 4.2",
			       value, MODEL_WATTS_MAX);
	return 0;
}

static int take_entry(const char *section, const char *key, const char *value, void *context,
		      struct mn_error *e)
{
	struct meter_options *o = context;

	if (strcmp(section, "energy") != 0 || !key)
		return 0;
	if (strcmp(key, "source") == 0)
		return take_source(&o->sources, value, e);
	if (strcmp(key, "idle_watts") == 0)
		return take_watts(&o->watts.idle_watts, value, e);
	if (strcmp(key, "core_watts") == 0)
		return take_watts(&o->watts.core_watts, value, e);
	return mn_fail(e, MN_USAGE, EINVAL,
		       "unknown key \"%.64s\": [energy] has source, idle_watts and core_watts",
		       key);
}

int config_energy(const struct common *common, struct meter_options *options, struct mn_error *e)
{
	*options = meter_defaults();
	return config_read(common, take_entry, options, e);
}
