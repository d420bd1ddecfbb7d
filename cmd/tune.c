/* tune: sizes spaces while they run, or answers what that would do: --simulate and --plan. */
#include "cmd/tune.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	OPT_SIMULATE = 256,
	OPT_PLAN,
	OPT_INTERVAL,
	OPT_BUDGET,
	OPT_SET,
	OPT_ONCE,
	OPT_STREAM,
	OPT_METRICS,
	OPT_TEXTFILE,
	OPT_RECORD,
};

#define TUNE_SETS_MAX 64

/* --interval D and --budget S are short for --set period=D and --set budget=S. */
static int add_set(struct tune_live *live, char **set, const char *key, const char *value)
{
	char *text = NULL;

	if (asprintf(&text, "%s%s%s", key ? key : "", key ? "=" : "", value) < 0)
		return -ENOMEM;
	set[live->words.sets++] = text;
	return 0;
}

struct words {
	const char *simulate, *plan;
	struct tune_live live;
	char *set[TUNE_SETS_MAX];
};

/* What is not looked at would be taken for said. */
static int check_alone(struct invocation *inv, const struct words *w)
{
	const struct tune_live *live = &w->live;

	if (!w->simulate && !w->plan)
		return 0;
	if ((w->simulate && w->plan) || live->words.sets || live->record || live->once ||
	    inv->operand_count)
		return mn_fail(&inv->error, MN_USAGE, EINVAL,
			       "--simulate and --plan stand alone: what they take is behind their "
			       "commas, as in --simulate scenario:S1,budget=2G");
	return 0;
}

static int take_words(struct invocation *inv, struct words *w)
{
	int key, err = 0;

	w->live.words.set = w->set;
	while (!err && (key = opts_next(inv)) != OPTS_END) {
		if (w->live.words.sets == TUNE_SETS_MAX)
			return mn_fail(&inv->error, MN_USAGE, E2BIG, "too many settings");
		switch (key) {
		case OPT_SIMULATE: w->simulate = inv->value; break;
		case OPT_PLAN: w->plan = inv->value; break;
		case OPT_INTERVAL: err = add_set(&w->live, w->set, "period", inv->value); break;
		case OPT_BUDGET: err = add_set(&w->live, w->set, "budget", inv->value); break;
		case OPT_STREAM: err = add_set(&w->live, w->set, "stream", inv->value); break;
		case OPT_METRICS: err = add_set(&w->live, w->set, "metrics", inv->value); break;
		case OPT_TEXTFILE: err = add_set(&w->live, w->set, "textfile", inv->value); break;
		case OPT_SET: err = add_set(&w->live, w->set, NULL, inv->value); break;
		case OPT_RECORD: w->live.record = inv->value; break;
		case OPT_ONCE: w->live.once = true; break;
		default: return OPTS_BAD;
		}
	}
	w->live.words.spaces = inv->operands;
	return err ? err : check_alone(inv, w);
}

static int run(struct invocation *inv)
{
	struct words w = {0};
	int status;

	if (take_words(inv, &w))
		status = command_fail(inv);
	else if (w.simulate) /* the words are argv's, and ours to cut */
		status = tune_simulate(inv, (char *)w.simulate);
	else if (w.plan)
		status = tune_plan(inv, (char *)w.plan);
	else
		status = tune_live(inv, &w.live);
	for (size_t i = 0; i < w.live.words.sets; i++)
		free(w.set[i]);
	return status;
}

static const struct opt opts[] = {
	{OPT_INTERVAL, "interval", "DURATION", "decide so often (2s)", false},
	{OPT_BUDGET, "budget", "SIZE", "most that all spaces get together", false},
	{OPT_STREAM, "stream", "ADDRESS:PORT", "the --metrics of a memnet stream of theirs", false},
	{OPT_METRICS, "metrics", "ADDRESS:PORT|PATH", "serve figures at /metrics there", false},
	{OPT_TEXTFILE, "textfile", "FILE", "write them there each period", false},
	{OPT_SET, "set", "KEY=VALUE", "a key of the configuration's [tune]", false},
	{OPT_ONCE, "once", NULL, "look for one interval, leave safe sizes, and end", false},
	{OPT_RECORD, "record", "FILE", "write there what is seen, for --simulate", false},
	{OPT_SIMULATE, "simulate", "FILE|scenario:NAME[,KEY=VALUE…]",
	 "play a recording or a scenario, and print what comes of it", false},
	{OPT_PLAN, "plan", "LAMBDA,SIZE,CV,DRAIN,CLIENT[,WORK]",
	 "how much a space would hold, in closed form", false},
	OPT_END,
};

const struct command command_tune = {
	.name = "tune",
	.summary = "Size the spaces of running VMs by what their jobs need",
	.operands = "[VM/SPACE…]",
	.opts = opts,
	.common = "jHpn",
	.run = run,
};
