/* tune --simulate and --plan: what the controller would do, without any space. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "cmd/tune.h"
#include "control/plan.h"
#include "control/replay.h"
#include "control/simulate.h"

/* ---- --simulate scenario:NAME,seed=N,… ---- */

/* "0" turns the guard off. */
static int set_duration(const char *value, uint64_t *ns, struct mn_error *e)
{
	int64_t parsed;
	int err = parse_duration(value, &parsed, e);

	if (!err && parsed % (SIM_STEP_US * 1000) != 0)
		err = mn_fail(e, MN_USAGE, EINVAL, "%s: the simulator's step is 10ms", value);
	if (!err)
		*ns = (uint64_t)parsed;
	return err;
}

static int set_policy(const char *value, enum simulate_policy *policy, struct mn_error *e)
{
	for (int i = 0; i < SIMULATE_NPOLICIES; i++) {
		if (strcmp(value, simulate_policy_name(i)) == 0) {
			*policy = i;
			return 0;
		}
	}
	return mn_fail(e, MN_USAGE, EINVAL,
		       "unknown policy \"%.32s\" (memnet, static or threshold)", value);
}

static int set_fraction(const char *value, double *fraction, struct mn_error *e)
{
	char *end;

	*fraction = strtod(value, &end);
	if (end == value || *end || !(*fraction >= 0 && *fraction < 1))
		return mn_fail(e, MN_USAGE, EINVAL, "bad fraction \"%.32s\": want 0 to 1", value);
	return 0;
}

static int set_vm(const struct simulate_spec *spec, const char *value, unsigned int *vm,
		  struct mn_error *e)
{
	int64_t number;
	int err = parse_number(value, "VM", 0, spec->scenario->nvms, &number, e);

	if (!err)
		*vm = (unsigned int)number;
	return err;
}

static int set_key(struct simulate_spec *spec, const char *key, const char *value,
		   struct mn_error *e)
{
	struct control_tuning *t = &spec->tuning;
	int64_t seed;
	int err;

	if (strcmp(key, "seed") == 0) {
		err = parse_number(value, "seed", 0, INT64_C(1) << 40, &seed, e);
		if (!err)
			spec->seed = (uint64_t)seed;
		return err;
	}
	if (strcmp(key, "guard") == 0)
		return set_duration(value, &t->guard_ns, e);
	if (strcmp(key, "period") == 0)
		return set_duration(value, &t->period_ns, e);
	if (strcmp(key, "budget") == 0)
		return parse_size(value, &t->budget_bytes, e);
	if (strcmp(key, "policy") == 0)
		return set_policy(value, &spec->policy, e);
	if (strcmp(key, "size") == 0)
		return parse_size(value, &spec->static_bytes, e);
	if (strcmp(key, "hoarder") == 0)
		return set_vm(spec, value, &spec->hoarder, e);
	if (strcmp(key, "liar") == 0)
		return set_vm(spec, value, &spec->liar, e);
	if (strcmp(key, "skip") == 0)
		return set_fraction(value, &spec->skip, e);
	return mn_fail(e, MN_USAGE, EINVAL,
		       "unknown key \"%.32s\" (seed, guard, period, budget, policy, size, hoarder, "
		       "liar, skip)",
		       key);
}

static int parse_spec(char *text, struct simulate_spec *spec, struct mn_error *e)
{
	char *word = strsep(&text, ",");
	const struct sim_scenario *scenario = sim_scenario_find(word);
	int err = 0;

	if (!scenario)
		return mn_fail(e, MN_USAGE, EINVAL, "unknown scenario \"%.32s\" (S0 to S13, M8)",
			       word);
	*spec = simulate_spec_default(scenario, 1);
	while (!err && (word = strsep(&text, ","))) {
		char *key = strsep(&word, "=");

		if (!word)
			return mn_fail(e, MN_USAGE, EINVAL, "\"%.32s\": want KEY=VALUE", key);
		err = set_key(spec, key, word, e);
	}
	return err;
}

static void add_hash(cJSON *object, uint64_t hash)
{
	char hex[17];

	snprintf(hex, sizeof(hex), "%016" PRIx64, hash);
	cJSON_AddStringToObject(object, "jobs_fnv", hex);
}

struct member {
	const char *name;
	double value;
};

static void add_members(cJSON *object, const struct member members[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		cJSON_AddNumberToObject(object, members[i].name, (double)(int64_t)members[i].value);
}

/* What a scenario and a recording have in common. */
static void add_played(cJSON *object, const struct simulate_vm *vm)
{
	const struct member members[] = {
		{"windows", vm->windows},
		{"violated", vm->violated},
		{"xv", vm->xv},
		{"mean_bytes", vm->mean_bytes},
		{"peak_bytes", (double)vm->peak_bytes},
		{"used_mean_bytes", vm->used_mean_bytes},
		{"resizes", vm->resizes},
		{"reversals", vm->reversals},
	};

	cJSON_AddNumberToObject(object, "jobs", (double)vm->jobs);
	add_hash(object, vm->jobs_fnv);
	add_members(object, members, sizeof(members) / sizeof(*members));
}

static void add_result(cJSON *object, const struct simulate_vm *vm)
{
	const struct member members[] = {
		{"unlimited_mean_bytes", vm->unlimited_mean_bytes},
		{"unlimited_track_bytes", vm->unlimited_track_bytes},
		{"unlimited_peak_bytes", (double)vm->unlimited_peak_bytes},
	};

	add_played(object, vm);
	add_members(object, members, sizeof(members) / sizeof(*members));
}

static void add_alarms(cJSON *object, unsigned int alarms)
{
	cJSON *texts = cJSON_AddArrayToObject(object, "alarms");

	for (unsigned int bit = 1; bit && texts; bit <<= 1)
		if (alarms & bit)
			cJSON_AddItemToArray(texts, cJSON_CreateString(control_alarm_text(bit)));
}

static cJSON *result_object(const struct simulate_spec *spec, const struct simulate_result *result)
{
	cJSON *object = cJSON_CreateObject(), *vms;

	cJSON_AddStringToObject(object, "scenario", spec->scenario->name);
	cJSON_AddNumberToObject(object, "seed", (double)spec->seed);
	cJSON_AddStringToObject(object, "policy", simulate_policy_name(spec->policy));
	cJSON_AddNumberToObject(object, "budget_bytes", (double)spec->tuning.budget_bytes);
	add_result(object, &result->total);
	cJSON_AddNumberToObject(object, "over_budget", result->over_budget);
	add_alarms(object, result->alarms);
	cJSON_AddNumberToObject(object, "clairvoyant_bytes", (double)result->clairvoyant_bytes);
	if (result->nvms == 1)
		return object;
	vms = cJSON_AddArrayToObject(object, "vms");
	for (unsigned int i = 0; i < result->nvms; i++) {
		cJSON *vm = cJSON_CreateObject();

		add_result(vm, &result->vm[i]);
		cJSON_AddItemToArray(vms, vm);
	}
	return object;
}

static const struct column simulate_columns[] = {
	{"scenario", "scenario", COLUMN_TEXT},
	{"seed", "seed", COLUMN_NUMBER},
	{"policy", "policy", COLUMN_TEXT},
	{"jobs", "jobs", COLUMN_NUMBER},
	{"jobs_fnv", "job list", COLUMN_TEXT},
	{"windows", "windows", COLUMN_NUMBER},
	{"violated", "violated", COLUMN_NUMBER},
	{"xv", "violated for want of memory", COLUMN_NUMBER},
	{"mean_bytes", "mean size", COLUMN_SIZE},
	{"peak_bytes", "peak size", COLUMN_SIZE},
	{"used_mean_bytes", "mean use", COLUMN_SIZE},
	{"resizes", "resizes", COLUMN_NUMBER},
	{"reversals", "reversals", COLUMN_NUMBER},
	{NULL, NULL, COLUMN_TEXT},
};

static int run_scenario(struct invocation *inv, char *what)
{
	struct simulate_result result;
	struct simulate_spec spec = {0};
	int err = parse_spec(what, &spec, &inv->error);

	if (err || !spec.scenario)
		return command_fail(inv);
	err = simulate(&spec, &result);
	if (err) {
		mn_fail(&inv->error, MN_USAGE, -err, "scenario:%s: %s", spec.scenario->name,
			err == -ENOMEM ? "out of memory"
				       : "impossible settings (is the budget below the minima?)");
		return command_fail(inv);
	}
	output_object(&inv->common, simulate_columns, result_object(&spec, &result));
	return MN_OK;
}

/* ---- --simulate FILE,policy=…,size=…,budget=… ---- */

static int set_replay_key(struct replay_spec *spec, const char *key, const char *value,
			  struct mn_error *e)
{
	if (strcmp(key, "policy") == 0)
		return set_policy(value, &spec->policy, e);
	if (strcmp(key, "size") == 0)
		return parse_size(value, &spec->static_bytes, e);
	if (strcmp(key, "budget") == 0)
		return parse_size(value, &spec->budget_bytes, e);
	return mn_fail(e, MN_USAGE, EINVAL, "unknown key \"%.32s\" (policy, size, budget)", key);
}

static int parse_replay(char *text, struct replay_spec *spec, const char **path, struct mn_error *e)
{
	char *pair;
	int err = 0;

	*spec = (struct replay_spec){.policy = SIMULATE_MEMNET};
	*path = strsep(&text, ",");
	while (!err && (pair = strsep(&text, ","))) {
		char *key = strsep(&pair, "=");

		if (!pair)
			return mn_fail(e, MN_USAGE, EINVAL, "\"%.32s\": want KEY=VALUE", key);
		err = set_replay_key(spec, key, pair, e);
	}
	return err;
}

static cJSON *replay_object(const char *path, const struct replay_spec *spec,
			    const struct replay_result *result)
{
	cJSON *object = cJSON_CreateObject(), *vms;

	cJSON_AddStringToObject(object, "recording", path);
	cJSON_AddStringToObject(object, "policy", simulate_policy_name(spec->policy));
	add_played(object, &result->total);
	cJSON_AddNumberToObject(object, "over_budget", result->over_budget);
	cJSON_AddNumberToObject(object, "duration_s", result->duration_s);
	cJSON_AddNumberToObject(object, "full_s", result->short_s);
	if (result->differs_s >= 0)
		cJSON_AddNumberToObject(object, "counterfactual_from_s", result->differs_s);
	if (result->nspaces == 1)
		return object;
	vms = cJSON_AddArrayToObject(object, "vms");
	for (size_t i = 0; i < result->nspaces; i++) {
		cJSON *vm = cJSON_CreateObject();

		add_played(vm, &result->space[i]);
		cJSON_AddItemToArray(vms, vm);
	}
	return object;
}

static const struct column replay_columns[] = {
	{"recording", "recording", COLUMN_TEXT},
	{"policy", "policy", COLUMN_TEXT},
	{"duration_s", "seconds", COLUMN_NUMBER},
	{"counterfactual_from_s", "counterfactual from", COLUMN_NUMBER},
	{"full_s", "seconds full", COLUMN_NUMBER},
	{"jobs", "jobs", COLUMN_NUMBER},
	{"windows", "windows", COLUMN_NUMBER},
	{"violated", "violated", COLUMN_NUMBER},
	{"xv", "violated for want of memory", COLUMN_NUMBER},
	{"mean_bytes", "mean size", COLUMN_SIZE},
	{"peak_bytes", "peak size", COLUMN_SIZE},
	{"used_mean_bytes", "mean use", COLUMN_SIZE},
	{"resizes", "resizes", COLUMN_NUMBER},
	{"reversals", "reversals", COLUMN_NUMBER},
	{NULL, NULL, COLUMN_TEXT},
};

static int run_replay(struct invocation *inv, char *what)
{
	struct replay_result result = {0};
	struct replay_spec spec;
	const char *path;
	int err = parse_replay(what, &spec, &path, &inv->error);

	if (!err)
		err = replay(path, &spec, &result, &inv->error);
	if (!err)
		output_object(&inv->common, replay_columns, replay_object(path, &spec, &result));
	replay_close(&result);
	return err ? command_fail(inv) : MN_OK;
}

int tune_simulate(struct invocation *inv, char *what)
{
	static const char prefix[] = "scenario:";

	if (strncmp(what, prefix, sizeof(prefix) - 1) == 0)
		return run_scenario(inv, what + sizeof(prefix) - 1);
	return run_replay(inv, what);
}

/* ---- --plan lambda,S,cv,d,r[,work] ---- */

static int parse_real(const char *text, double *value, struct mn_error *e)
{
	char *end;

	*value = strtod(text, &end);
	if (end == text || *end || !(*value >= 0 && *value < 1e9))
		return mn_fail(e, MN_USAGE, EINVAL, "bad number \"%.32s\"", text);
	return 0;
}

static int parse_plan_field(struct plan_question *question, unsigned int field, const char *text,
			    struct mn_error *e)
{
	double *const rates[] = {&question->drain_bps, &question->client_bps, &question->work_bps};
	uint64_t whole = 0;
	int err;

	if (field == 0)
		return parse_real(text, &question->lambda, e);
	if (field == 2)
		return parse_real(text, &question->cv, e);
	err = field == 1 ? parse_size(text, &whole, e) : parse_rate(text, &whole, e);
	if (field == 1)
		question->size_bytes = (double)whole;
	else
		*rates[field - 3] = (double)whole;
	return err;
}

static int parse_plan(char *text, struct plan_question *question, struct mn_error *e)
{
	unsigned int field = 0;
	char *word;
	int err = 0;

	*question = (struct plan_question){.work_bps = PLAN_WORK_BPS};
	while (!err && field < 6 && (word = strsep(&text, ",")))
		err = parse_plan_field(question, field++, word, e);
	if (!err && (field < 5 || text))
		err = mn_fail(e, MN_USAGE, EINVAL,
			      "want LAMBDA,SIZE,CV,DRAIN,CLIENT[,WORK], as in 1.5,24M,1,60MB,8MB");
	return err;
}

static const struct column plan_columns[] = {
	{"mean_bytes", "mean use", COLUMN_SIZE},  {"q95_bytes", "95 % below", COLUMN_SIZE},
	{"q99_bytes", "99 % below", COLUMN_SIZE}, {"drain_percent", "drain busy, %", COLUMN_NUMBER},
	{"valid", "valid", COLUMN_TEXT},	  {NULL, NULL, COLUMN_TEXT},
};

static cJSON *plan_object(const struct plan_answer *answer)
{
	cJSON *object = cJSON_CreateObject(), *doubts;

	cJSON_AddNumberToObject(object, "mean_bytes",
				(double)(int64_t)answer->prediction.mean_bytes);
	cJSON_AddNumberToObject(object, "q95_bytes", (double)(int64_t)answer->q95_bytes);
	cJSON_AddNumberToObject(object, "q99_bytes", (double)(int64_t)answer->q99_bytes);
	cJSON_AddNumberToObject(object, "sd_bytes", (double)(int64_t)answer->prediction.sd_bytes);
	cJSON_AddNumberToObject(object, "rho_drain", answer->prediction.rho);
	cJSON_AddNumberToObject(object, "drain_percent", round(100 * answer->prediction.rho));
	cJSON_AddNumberToObject(object, "stretch", answer->prediction.stretch);
	cJSON_AddNumberToObject(object, "full_drain_lambda", answer->full_drain_lambda);
	cJSON_AddStringToObject(object, "valid", answer->prediction.doubts ? "no" : "yes");
	doubts = cJSON_AddArrayToObject(object, "doubts");
	for (unsigned int bit = 1; bit; bit <<= 1)
		if (answer->prediction.doubts & bit)
			cJSON_AddItemToArray(doubts, cJSON_CreateString(plan_doubt_text(bit)));
	return object;
}

int tune_plan(struct invocation *inv, char *what)
{
	struct plan_question question;
	struct plan_answer answer;
	int err = parse_plan(what, &question, &inv->error);

	if (err)
		return command_fail(inv);
	err = plan(&question, &answer);
	if (err == -ERANGE)
		mn_fail(&inv->error, MN_FAILED, ERANGE,
			"drain load %.2f: %s (allow less than %.3g objects a second)",
			answer.prediction.rho, plan_doubt_text(QUEUE_OVERLOADED),
			answer.full_drain_lambda);
	else if (err == -EOVERFLOW)
		mn_fail(&inv->error, MN_USAGE, EOVERFLOW,
			"no memory is so large (LAMBDA is objects a second; a CV is near 1)");
	else if (err)
		mn_fail(&inv->error, MN_USAGE, EINVAL, "want LAMBDA,SIZE,CV,DRAIN,CLIENT above 0");
	if (err)
		return command_fail(inv);
	output_object(&inv->common, plan_columns, plan_object(&answer));
	return MN_OK;
}
