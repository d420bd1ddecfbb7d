/* [energy] in the configuration. */
#include "cmd/energy_config.h"

#include <errno.h>
#include <math.h>

#include "tests/scratch.h"
#include "tests/tap.h"

static int scratch;
static struct meter_options options;
static struct mn_error error;

/* What a file of this text comes to. */
static int read_text(const char *text)
{
	static char path[512];
	struct common common = {.config = path, .config_given = true};

	snprintf(path, sizeof(path), "%s/conf", scratch_path);
	scratch_file(scratch, "conf", text, strlen(text));
	error = (struct mn_error)MN_ERROR_INIT;
	return config_energy(&common, &options, &error);
}

static bool by_default(void)
{
	return options.sources == METER_ALL && isnan(options.watts.idle_watts) &&
	       isnan(options.watts.core_watts);
}

static void good(void)
{
	struct common none = {.config = "/nonexistent/memnet.conf"};

	ok(config_energy(&none, &options, &error) == 0 && by_default(), "no file");
	ok(read_text("[vm web1]\nqmp = /q\n") == 0 && by_default(), "no such section");
	ok(read_text("[energy]\nsource = auto\n") == 0 && by_default(), "any source");
	is_int(read_text("[energy]\nsource = model\nidle_watts = 85\ncore_watts = 4.2 # ours\n"), 0,
	       "a machine's own");
	is_int(options.sources, 1U << ENERGY_MODEL, "the model only");
	ok(options.watts.idle_watts == 85 && options.watts.core_watts == 4.2, "with its watts");
	is_int(read_text("[energy]\nsource = none\n"), 0, "no figures wanted");
	is_int(options.sources, 1U << ENERGY_NONE, "none");
}

static void bad(void)
{
	static const struct {
		const char *line, *text;
	} row[] = {
		{"source = wall", "\"wall\": want auto, rapl, perf, model or none"},
		{"source =", "\"\": want auto"},
		{"idle_watts = -1", "\"-1\": want 0 to 1000000"},
		{"idle_watts = nan", "\"nan\": want"},
		{"idle_watts = 0x10", "\"0x10\": want"},
		{"idle_watts = 1e3", "\"1e3\": want"},
		{"idle_watts = 1.2.3", "\"1.2.3\": want"},
		{"core_watts = 5 W", "\"5 W\": want"},
		{"core_watts = 2000000", "\"2000000\": want"},
		{"core_watts =", "\"\": want"},
		{"watts = 5", "unknown key \"watts\": [energy] has source, idle_watts"},
	};
	char text[128];

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		snprintf(text, sizeof(text), "[energy]\n%s\n", row[i].line);
		is_int(read_text(text), -EINVAL, "not \"%s\"", row[i].line);
		ok(error.status == MN_USAGE && strstr(error.text, row[i].text) &&
			   strstr(error.text, "/conf:2: "),
		   "%s", error.text);
	}
}

int main(void)
{
	scratch = scratch_open();
	good();
	bad();
	return done_testing();
}
