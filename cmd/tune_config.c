#include "cmd/tune.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cmd/config.h"
#include "cmd/energy_config.h"
#include "space/pool.h"

#define MIN_BYTES   (UINT64_C(1) << 20)
#define MIN_DEFAULT (UINT64_C(64) << 20)
#define SLO_DEFAULT (8 * UINT64_C(1000000000))
#define PERIOD_MAX  (86400 * UINT64_C(1000000000))

/* ---- values ---- */

static int take_duration(const char *value, uint64_t *ns, struct mn_error *e)
{
	int64_t parsed;
	int err = parse_duration(value, &parsed, e);

	if (!err)
		*ns = (uint64_t)parsed;
	return err;
}

/* "1.25", or with `percent` also "5%". */
static int take_real(const char *value, bool percent, double *real, struct mn_error *e)
{
	char *end;
	double parsed = isdigit((unsigned char)*value) ? strtod(value, &end) : -1;

	if (parsed >= 0 && percent && strcmp(end, "%") == 0) {
		*real = parsed / 100;
		return 0;
	}
	if (!(parsed >= 0 && parsed < 1e9) || *end)
		return mn_fail(e, MN_USAGE, EINVAL, "bad number \"%.32s\"%s", value,
			       percent ? ": want 0.05 or 5%" : "");
	*real = parsed;
	return 0;
}

/* "p95<8s", or "off". */
static int take_slo(const char *value, struct control_wish *wish, struct mn_error *e)
{
	char share[16];
	const char *less = strchr(value, '<');
	double percent;

	if (strcmp(value, "off") == 0) {
		wish->slo_ns = 0;
		return 0;
	}
	if (*value != 'p' || !less || (size_t)(less - value) >= sizeof(share))
		return mn_fail(e, MN_USAGE, EINVAL, "bad objective \"%.32s\": want p95<8s, or off",
			       value);
	snprintf(share, sizeof(share), "%.*s", (int)(less - value - 1), value + 1);
	/* p0.95 is meant for p95, and no time at all for none. */
	if (take_real(share, false, &percent, NULL) || percent < 1 || percent >= 100 ||
	    take_duration(less + 1, &wish->slo_ns, NULL) || !wish->slo_ns)
		return mn_fail(e, MN_USAGE, EINVAL, "bad objective \"%.32s\": want p95<8s, or off",
			       value);
	wish->slo_share = percent / 100;
	return 0;
}

static int take_failsafe(const char *value, enum tuner_failsafe *how, uint64_t *bytes,
			 struct mn_error *e)
{
	*how = TUNER_FAILSAFE_AUTO;
	if (strcmp(value, "auto") == 0)
		return 0;
	*how = strcmp(value, "off") == 0 ? TUNER_FAILSAFE_OFF : TUNER_FAILSAFE_SIZE;
	return *how == TUNER_FAILSAFE_OFF ? 0 : parse_size(value, bytes, e);
}

/* No name: while it is looked up, nobody looks at the spaces. */
static int take_address(const char *value, struct listen_address *a, struct mn_error *e)
{
	struct in6_addr ip;
	int err = parse_address(value, a, e);

	if (err || inet_pton(AF_INET, a->addr, &ip) == 1 || inet_pton(AF_INET6, a->addr, &ip) == 1)
		return err;
	return mn_fail(e, MN_USAGE, EINVAL, "bad address \"%.64s\": want an IP address and a port",
		       value);
}

/* One more each time the key is given. */
static int take_stream(const char *value, struct tuner_config *config, struct mn_error *e)
{
	struct tuner_stream *stream = &config->stream[config->nstreams];
	struct listen_address a;
	int err = take_address(value, &a, e);

	if (err)
		return err;
	if (config->nstreams == TUNER_STREAMS_MAX)
		return mn_fail(e, MN_USAGE, E2BIG, "more than %d streams", TUNER_STREAMS_MAX);
	strcpy(stream->address, a.addr);
	stream->port = a.port;
	config->nstreams++;
	return 0;
}

static int take_path(const char *value, char *path, size_t size, struct mn_error *e)
{
	if (*value != '/' || strlen(value) >= size)
		return mn_fail(e, MN_USAGE, EINVAL, "bad path \"%.64s\": want an absolute one",
			       value);
	strcpy(path, value);
	return 0;
}

static int take_metrics(const char *value, struct tune_config *config, struct mn_error *e)
{
	struct listen_address a;
	int err;

	if (*value == '/')
		return take_path(value, config->metrics, sizeof(config->metrics), e);
	err = take_address(value, &a, e);
	if (err)
		return err;
	strcpy(config->metrics, a.addr);
	config->metrics_port = a.port;
	return 0;
}

static int take_device(const char *value, struct tuner_config *config, struct mn_error *e)
{
	if (!*value || strchr(value, '/') || strlen(value) >= sizeof(config->uplink))
		return mn_fail(e, MN_USAGE, EINVAL, "bad interface \"%.32s\"", value);
	strcpy(config->uplink, value);
	return 0;
}

/* ---- keys ---- */

struct key {
	const char *name;
	enum { KEY_DURATION, KEY_SIZE, KEY_REAL, KEY_PART } kind;
	size_t offset;
};
#define TUNING(name, kind, member)                                                                 \
	{                                                                                          \
		name, kind, offsetof(struct control_tuning, member)                                \
	}

static const struct key tuning_keys[] = {
	TUNING("period", KEY_DURATION, period_ns),
	TUNING("guard", KEY_DURATION, guard_ns),
	TUNING("budget", KEY_SIZE, budget_bytes),
	TUNING("reserve", KEY_PART, reserve),
	TUNING("slo.margin", KEY_PART, slo_margin),
	TUNING("slo.window", KEY_DURATION, slo_window_ns),
	TUNING("shrink.hold", KEY_REAL, shrink_hold),
	TUNING("headroom.min", KEY_SIZE, headroom_min_bytes),
	TUNING("headroom.factor", KEY_REAL, headroom_factor),
	TUNING("payback", KEY_DURATION, payback_ns),
	TUNING("stale", KEY_DURATION, stale_ns),
	TUNING("failsafe.hold", KEY_DURATION, failsafe_ns),
};

static int take_key(const struct key *key, const char *value, void *base, struct mn_error *e)
{
	void *to = (char *)base + key->offset;

	switch (key->kind) {
	case KEY_DURATION: return take_duration(value, to, e);
	case KEY_SIZE: return parse_size(value, to, e);
	case KEY_REAL: return take_real(value, false, to, e);
	default: return take_real(value, true, to, e);
	}
}

/* What a key takes is more than what makes sense; how two of them go together is known at the end.
 */
static int check_ranges(const struct control_tuning *t, struct mn_error *e)
{
	const char *wrong = NULL;

	if (t->period_ns < 10 * NS_PER_MS || (t->guard_ns && t->guard_ns < 10 * NS_PER_MS))
		wrong = "period and guard must be 10ms or more";
	else if (t->period_ns > PERIOD_MAX)
		wrong = "period must be a day at most";
	else if (!(t->reserve < 1))
		wrong = "reserve must be less than 100%";
	else if (!(t->slo_margin > 0 && t->slo_margin <= 1))
		wrong = "slo.margin must be more than 0 and at most 100%";
	else if (!t->slo_window_ns || !(t->shrink_hold > 0) || !(t->headroom_factor > 0))
		wrong = "slo.window, shrink.hold and headroom.factor must be more than 0";
	else if (t->headroom_min_bytes < MIN_BYTES)
		wrong = "headroom.min must be 1M or more";
	return wrong ? mn_fail(e, MN_USAGE, EINVAL, "%s", wrong) : 0;
}

static int set_tuning(const struct key *key, const char *value, struct control_tuning *tuning,
		      struct mn_error *e)
{
	int err = take_key(key, value, tuning, e);

	return err ? err : check_ranges(tuning, e);
}

int tune_config_set(struct tune_config *config, const char *key, const char *value,
		    struct mn_error *e)
{
	for (size_t i = 0; i < sizeof(tuning_keys) / sizeof(*tuning_keys); i++) {
		if (strcmp(key, tuning_keys[i].name) == 0)
			return set_tuning(&tuning_keys[i], value, &config->tuner.tuning, e);
	}
	if (strcmp(key, "failsafe") == 0)
		return take_failsafe(value, &config->failsafe, &config->failsafe_bytes, e);
	if (strcmp(key, "metrics") == 0)
		return take_metrics(value, config, e);
	if (strcmp(key, "textfile") == 0)
		return take_path(value, config->textfile, sizeof(config->textfile), e);
	if (strcmp(key, "uplink") == 0)
		return take_device(value, &config->tuner, e);
	if (strcmp(key, "stream") == 0)
		return take_stream(value, &config->tuner, e);
	return mn_fail(e, MN_USAGE, EINVAL, "unknown key \"%.64s\" (see memnet-tune(1))", key);
}

/* What a space has that it was not told: max and failsafe are known when all has been read. */
static struct tuner_wish wish_default(const struct space_name *name)
{
	return (struct tuner_wish){
		.name = *name,
		.wish = {.min_bytes = MIN_DEFAULT,
			 .weight = 1,
			 .slo_ns = SLO_DEFAULT,
			 .slo_share = 0.95},
		.failsafe = TUNER_FAILSAFE_DEFAULT,
	};
}

static int take_weight(const char *value, double *weight, struct mn_error *e)
{
	int err = take_real(value, false, weight, e);

	if (err || *weight > 0)
		return err;
	return mn_fail(e, MN_USAGE, EINVAL, "weight must be more than 0");
}

static int take_min(const char *value, uint64_t *bytes, struct mn_error *e)
{
	int err = parse_size(value, bytes, e);

	if (err || *bytes >= MIN_BYTES)
		return err;
	return mn_fail(e, MN_USAGE, EINVAL, "min must be 1M or more");
}

static int set_space_key(struct tuner_wish *w, const char *key, const char *value,
			 struct mn_error *e)
{
	uint64_t ttl_ns = 0;
	int err;

	if (strcmp(key, "min") == 0)
		return take_min(value, &w->wish.min_bytes, e);
	if (strcmp(key, "max") == 0)
		return parse_size(value, &w->wish.max_bytes, e);
	if (strcmp(key, "weight") == 0)
		return take_weight(value, &w->wish.weight, e);
	if (strcmp(key, "slo") == 0)
		return take_slo(value, &w->wish, e);
	if (strcmp(key, "failsafe") == 0)
		return take_failsafe(value, &w->failsafe, &w->failsafe_bytes, e);
	if (strcmp(key, "ttl") != 0)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "unknown key \"%.64s\": a space has min, max, weight, slo, ttl and "
			       "failsafe",
			       key);
	err = take_duration(value, &ttl_ns, e);
	w->wish.ttl_s = (double)ttl_ns / 1e9;
	return err;
}

/* ---- spaces ---- */

static struct tuner_wish *find_space(const struct tuner_config *config,
				     const struct space_name *name)
{
	for (size_t i = 0; i < config->nspaces; i++) {
		struct tuner_wish *w = &config->space[i];

		if (strcmp(w->name.vm, name->vm) == 0 && strcmp(w->name.space, name->space) == 0)
			return w;
	}
	return NULL;
}

static int add_space(struct tuner_config *config, const char *text, struct tuner_wish **out,
		     struct mn_error *e)
{
	struct space_name name;
	struct tuner_wish *grown;
	int err = name_parse(text, &name, e);

	if (err)
		return err;
	*out = find_space(config, &name);
	if (*out)
		return 0;
	if (config->nspaces == TUNER_SPACES_MAX)
		return mn_fail(e, MN_USAGE, E2BIG, "more than %d spaces", TUNER_SPACES_MAX);
	grown = realloc(config->space, (config->nspaces + 1) * sizeof(*grown));
	if (!grown)
		return mn_fail_errno(e, ENOMEM, "%s", text);
	config->space = grown;
	*out = &grown[config->nspaces++];
	**out = wish_default(&name);
	return 0;
}

static int read_entry(const char *section, const char *key, const char *value, void *context,
		      struct mn_error *e)
{
	struct tune_config *config = context;
	const char *name = section + strcspn(section, " \t");
	size_t word = (size_t)(name - section);
	struct tuner_wish *w;
	int err;

	name += strspn(name, " \t");
	if ((word == 2 && strncmp(section, "vm", word) == 0) ||
	    (word == 6 && strncmp(section, "energy", word) == 0))
		return 0; /* other commands look at these */
	if (word == 4 && strncmp(section, "tune", word) == 0)
		return key ? tune_config_set(config, key, value, e) : 0;
	/* One that has no keys is a space, too: a budget is all that it needs. */
	err = add_space(&config->tuner, name, &w, e);
	return err || !key ? err : set_space_key(w, key, value, e);
}

static int set_pairs(struct tuner_wish *w, char *pairs, struct mn_error *e)
{
	char *value;
	int err = 0;

	while (!err && (value = strsep(&pairs, ","))) {
		char *key = strsep(&value, "=");

		if (!value)
			err = mn_fail(e, MN_USAGE, EINVAL, "\"%.32s\": want KEY=VALUE", key);
		else
			err = set_space_key(w, key, value, e);
	}
	return err;
}

/* "VM/SPACE,KEY=VALUE,…": what the file says of that space, and the settings over it. */
static int read_word(const struct tuner_config *file, struct tuner_config *chosen, const char *text,
		     struct mn_error *e)
{
	cleanup_free char *copy = strdup(text);
	char *pairs = copy, *name = strsep(&pairs, ",");
	size_t before = chosen->nspaces;
	const struct tuner_wish *known;
	struct tuner_wish *w;
	int err;

	if (!copy)
		return mn_fail_errno(e, ENOMEM, "%s", text);
	err = add_space(chosen, name, &w, e);
	if (err)
		return err;
	known = find_space(file, &w->name);
	if (known && chosen->nspaces > before)
		*w = *known;
	err = set_pairs(w, pairs, e);
	if (err)
		mn_error_prefix(e, "%s", text);
	return err;
}

/* With words, those spaces alone. */
static int read_words(struct tuner_config *config, char *const *words, struct mn_error *e)
{
	struct tuner_config chosen = *config;
	int err = 0;

	if (!*words)
		return 0;
	chosen.space = NULL;
	chosen.nspaces = 0;
	for (; !err && *words; words++)
		err = read_word(config, &chosen, *words, e);
	free(config->space);
	*config = chosen;
	return err;
}

/* Where the VM's monitor is: the file's [vm NAME] says, or the default holds. */
static int find_monitor(const struct common *common, struct tuner_wish *w, struct mn_error *e)
{
	struct vm_config vm;
	char path[PATH_MAX];
	int err = config_vm(common, w->name.vm, &vm, e);

	if (err)
		return err;
	if (!vm.qmp[0] && pool_monitor_path(common->runtime_dir, w->name.vm, path) == 0 &&
	    strlen(path) < sizeof(vm.qmp))
		strcpy(vm.qmp, path);
	strcpy(w->monitor, vm.qmp);
	return 0;
}

static int check_space(const struct tune_config *config, struct tuner_wish *w, struct mn_error *e)
{
	uint64_t budget = config->tuner.tuning.budget_bytes;
	struct control_wish *wish = &w->wish;
	char min[16], max[16];

	if (w->failsafe == TUNER_FAILSAFE_DEFAULT) {
		w->failsafe = config->failsafe;
		w->failsafe_bytes = config->failsafe_bytes;
	}
	if (!wish->max_bytes)
		wish->max_bytes = budget;
	if (!wish->max_bytes)
		return mn_fail(e, MN_USAGE, EINVAL, "%s/%s: a max is wanted, or a budget for all",
			       w->name.vm, w->name.space);
	if (wish->min_bytes > wish->max_bytes)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "%s/%s: min must be at most max: they are %s and %s", w->name.vm,
			       w->name.space, format_size(wish->min_bytes, min),
			       format_size(wish->max_bytes, max));
	return 0;
}

static int check(struct tune_config *config, const struct common *common, struct mn_error *e)
{
	const struct control_tuning *t = &config->tuner.tuning;
	double minima = 0;
	int err = 0;

	if (!config->tuner.nspaces)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "no space to size: name VM/SPACE, or have [space VM/SPACE] in the "
			       "configuration");
	if (t->guard_ns > t->period_ns)
		return mn_fail(e, MN_USAGE, EINVAL, "guard must be at most a period");
	for (size_t i = 0; !err && i < config->tuner.nspaces; i++) {
		err = check_space(config, &config->tuner.space[i], e);
		if (!err)
			err = find_monitor(common, &config->tuner.space[i], e);
		minima += (double)config->tuner.space[i].wish.min_bytes;
	}
	if (err)
		return err;
	if (config->tuner.nspaces > 1 && !t->budget_bytes)
		return mn_fail(e, MN_USAGE, EINVAL, "more than one space wants a --budget");
	if (t->budget_bytes && minima > (1 - t->reserve) * (double)t->budget_bytes)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "the budget, less its reserve, is below the sum of the minima");
	return 0;
}

static int read_sets(struct tune_config *config, const struct tune_words *words, struct mn_error *e)
{
	int err = 0;

	for (size_t i = 0; !err && i < words->sets; i++) {
		cleanup_free char *copy = strdup(words->set[i]);
		char *value = copy, *key = strsep(&value, "=");

		if (!value)
			return mn_fail(e, MN_USAGE, EINVAL, "\"%.32s\": want KEY=VALUE",
				       words->set[i]);
		err = tune_config_set(config, key, value, e);
	}
	return err;
}

int tune_config_read(struct tune_config *config, const struct common *common,
		     const struct tune_words *words, struct mn_error *e)
{
	uint64_t guard_ns;
	int err;

	*config = (struct tune_config){.tuner.tuning = control_tuning_default()};
	guard_ns = config->tuner.tuning.guard_ns;
	err = config_read(common, read_entry, config, e);
	if (!err)
		err = read_sets(config, words, e);
	/* A short period alone is enough to say. */
	if (config->tuner.tuning.guard_ns == guard_ns && guard_ns > config->tuner.tuning.period_ns)
		config->tuner.tuning.guard_ns = config->tuner.tuning.period_ns;
	if (!err)
		err = read_words(&config->tuner, words->spaces, e);
	if (!err)
		err = config_energy(common, &config->tuner.energy, e);
	return err ? err : check(config, common, e);
}

void tune_config_free(struct tune_config *config)
{
	free(config->tuner.space);
	config->tuner.space = NULL;
	config->tuner.nspaces = 0;
}
