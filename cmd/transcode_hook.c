#include "cmd/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "cmd/options.h"
#include "guest/inbox.h"
#include "guest/stop.h"
#include "guest/transcode.h"

enum {
	OPT_TO = 256,
	OPT_NAME,
	OPT_FILES,
	OPT_LIVE,
	OPT_TIMEOUT,
	OPT_KILL,
	OPT_WAIT,
	OPT_RETRIES,
	OPT_STAGING,
	OPT_INBOX,
	OPT_ONCE,
	OPT_JOBS,
	OPT_RM,
};

static const struct opt opts[] = {
	{OPT_TO, "to", "DIR", "the space that DIR lies in, objects below DIR (.)", false},
	{OPT_NAME, "name", "NAME", "the object that the command's standard output becomes", false},
	{OPT_FILES, "files", NULL, "publish the files that the command writes into {output}",
	 false},
	{OPT_LIVE, "live", NULL, "the object can be read while it grows", false},
	{'f', "force", NULL, "replace an object of that name", false},
	{OPT_TIMEOUT, "timeout", "DURATION", "end a command that takes longer", false},
	{OPT_KILL, "kill-after", "DURATION", "between TERM and KILL (5s)", false},
	{OPT_WAIT, "max-wait", "DURATION", "wait for room no longer than this", false},
	{OPT_RETRIES, "retries", "N", "run a command that failed again, N times at most (0)",
	 false},
	{OPT_STAGING, "staging-size", "SIZE", "what unfinished --files may take (256M)", false},
	{OPT_INBOX, "inbox", "DIR", "run the command for each file that lands in DIR", false},
	{OPT_ONCE, "once", NULL, "with --inbox: do what is there now, and end", false},
	{OPT_JOBS, "jobs", "N", "with --inbox: so many commands at once (1)", false},
	{OPT_RM, "rm", NULL, "with --inbox: remove what is done, not move it to done/", false},
	OPT_END,
};

#define STAGING_DEFAULT (256ULL << 20)

static int take_number(struct invocation *inv, const char *what, int64_t min, int64_t max, int *out)
{
	int64_t number = 0;
	int err = parse_number(inv->value, what, min, max, &number, &inv->error);

	*out = (int)number;
	return err;
}

static int take(struct invocation *inv, struct inbox_options *in, int key)
{
	struct transcode_options *o = &in->transcode;
	struct mn_error *e = &inv->error;

	switch (key) {
	case OPT_TO: o->to = inv->value; return 0;
	case OPT_NAME: o->name = inv->value; return 0;
	case OPT_FILES: o->files = true; return 0;
	case OPT_LIVE: o->live = true; return 0;
	case 'f': o->replace = true; return 0;
	case OPT_TIMEOUT: return parse_duration(inv->value, &o->timeout_ns, e);
	case OPT_KILL: return parse_duration(inv->value, &o->kill_after_ns, e);
	case OPT_WAIT: return parse_duration(inv->value, &o->max_wait_ns, e);
	case OPT_RETRIES: return take_number(inv, "number of retries", 0, 1000, &o->retries);
	case OPT_STAGING: return parse_size(inv->value, &o->staging_size, e);
	case OPT_INBOX: in->dir = inv->value; return 0;
	case OPT_ONCE: in->once = true; return 0;
	case OPT_JOBS: return take_number(inv, "number of jobs", 1, INBOX_JOBS_MAX, &in->jobs);
	case OPT_RM: in->remove = true; return 0;
	default: return 0;
	}
}

static int usage(struct invocation *inv, const char *text)
{
	return mn_fail(&inv->error, MN_USAGE, EINVAL, "%s", text);
}

static int check_inbox(struct invocation *inv, const struct inbox_options *in)
{
	const char *name = in->transcode.name;

	if (!in->dir && (in->once || in->jobs || in->remove))
		return usage(inv, "--once, --jobs and --rm go with --inbox");
	if (!in->dir)
		return 0;
	if (!name && !in->transcode.files)
		return usage(inv, "--inbox wants a --name for each input, as '{.}.ts'");
	if (name && !strstr(name, "{}") && !strstr(name, "{.}"))
		return usage(inv, "--inbox wants {} or {.} in --name: the input's name in it");
	return 0;
}

static int check(struct invocation *inv, const struct inbox_options *in)
{
	const struct transcode_options *o = &in->transcode;

	if (!inv->rest || !inv->rest[0] || inv->rest != inv->operands)
		return usage(inv, "-- COMMAND wanted");
	if (check_inbox(inv, in))
		return OPTS_BAD;
	if (!o->name && !o->files)
		return usage(inv, "--name or --files wanted");
	if (o->live && o->files)
		return usage(inv, "--live is for one object; --files publishes each file whole");
	if (o->kill_after_ns > 3600 * NS_PER_S)
		return usage(inv, "--kill-after of more than an hour");
	return 0;
}

static int parse(struct invocation *inv, struct inbox_options *in)
{
	int key;

	while ((key = opts_next(inv)) >= 0) {
		int err = take(inv, in, key);

		if (err)
			return err;
	}
	if (key == OPTS_BAD || check(inv, in))
		return OPTS_BAD;
	in->transcode.argv = inv->rest;
	in->jobs = in->jobs ? in->jobs : 1;
	return 0;
}

static double seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

/* Of which kind a line of JSON is, and about what. */
static cJSON *json_begin(const char *event, const char *input)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddNumberToObject(json, "schema", 1);
	cJSON_AddStringToObject(json, "command", "transcode-hook");
	cJSON_AddStringToObject(json, "event", event);
	if (input)
		json_add_text(json, "input", input);
	return json;
}

static void json_line(cJSON *json)
{
	json_print_line(json);
	fflush(stdout);
	cJSON_Delete(json);
}

static void json_progress(cJSON *json, const struct transcode *t)
{
	const struct progress *p = &t->progress;

	if (p->blocks == 0)
		return;
	cJSON_AddNumberToObject(json, "frames", (double)p->frames);
	cJSON_AddNumberToObject(json, "media_seconds", (double)p->out_time_us / 1e6);
	cJSON_AddNumberToObject(json, "media_bytes", (double)p->bytes);
	cJSON_AddNumberToObject(json, "speed", p->speed);
}

static void json_result(cJSON *json, const struct transcode *t)
{
	cJSON_AddNumberToObject(json, "objects", (double)t->objects);
	cJSON_AddNumberToObject(json, "bytes_out", (double)t->bytes);
	cJSON_AddNumberToObject(json, "seconds", seconds(t->end_ns - t->start_ns));
	cJSON_AddNumberToObject(json, "cpu_seconds", seconds(t->cpu_ns));
	cJSON_AddNumberToObject(json, "blocked_seconds", seconds(t->blocked_ns));
	json_progress(json, t);
	if (*t->job.record.id)
		cJSON_AddStringToObject(json, "record", t->job.record.id);
}

static void print_json(const struct transcode *t, int status)
{
	cJSON *json = json_begin("end", NULL);

	cJSON_AddNumberToObject(json, "status", status);
	cJSON_AddNumberToObject(json, "attempts", t->attempts);
	json_result(json, t);
	json_line(json);
}

/* What is shown while commands run: one line on a terminal, written over, or lines of JSON. */
struct display {
	struct transcode transcode; /* without an inbox */
	struct inbox_counts counts; /* with one */
	bool json, terminal;
	bool shown; /* the terminal's line is not ended */
	int64_t last_ns;
	unsigned blocks; /* told of */
	char *command;
};

/* Whether it is time for the next word of progress. */
static bool due(struct display *d)
{
	int64_t now = clock_ns();

	if (now - d->last_ns < (d->json ? NS_PER_S : NS_PER_S / 5))
		return false;
	d->last_ns = now;
	return true;
}

static void show_progress(struct display *d, const char *input, const struct transcode *t)
{
	const struct progress *p = &t->progress;

	if (d->json) {
		cJSON *json = json_begin("progress", input);

		cJSON_AddNumberToObject(json, "objects", (double)t->objects);
		cJSON_AddNumberToObject(json, "bytes_out", (double)t->bytes);
		json_progress(json, t);
		json_line(json);
	}
	if (!d->terminal)
		return;
	d->shown = true;
	fprintf(stderr, "\r");
	if (input)
		fprintf(stderr, "%u running, %u done, %u failed: ", d->counts.running,
			d->counts.done, d->counts.failed + d->counts.left);
	fprintf(stderr, "%" PRId64 " frames, %.1f s, %.2fx, %" PRId64 " objects \033[K", p->frames,
		(double)p->out_time_us / 1e6, p->speed, t->objects);
}

static void tick(void *cookie)
{
	struct display *d = cookie;
	unsigned blocks = d->transcode.progress.blocks;

	if (blocks == d->blocks || !due(d))
		return;
	d->blocks = blocks;
	show_progress(d, NULL, &d->transcode);
}

static void end_line(struct display *d)
{
	if (d->shown)
		fputc('\n', stderr);
	d->shown = false;
}

/* What went wrong with an input, in words: "exit status 1", or memnet's own error. */
static void cause(const struct inbox_item *item, const char *command, char *text, size_t size)
{
	if (item->status > 0)
		snprintf(text, size, "%s: exit status %d", command, item->status);
	else if (*item->error)
		snprintf(text, size, "%s", item->error);
	else
		snprintf(text, size, "%s", strerror(-item->status));
}

static const char *event_name(enum inbox_news news)
{
	static const char *const names[] = {
		[INBOX_STARTS] = "start",  [INBOX_PROGRESS] = "progress", [INBOX_DONE_NOW] = "done",
		[INBOX_WAS_DONE] = "skip", [INBOX_RETRIES] = "retry",	  [INBOX_FAILS] = "fail",
		[INBOX_LEAVES] = "leave",
	};

	return names[news];
}

static void item_json(const struct display *d, const struct inbox_item *item)
{
	cJSON *json = json_begin(event_name(item->news), item->name);
	char text[600];

	if (item->status) {
		cause(item, d->command, text, sizeof(text));
		json_add_text(json, "error", text);
		if (item->status > 0)
			cJSON_AddNumberToObject(json, "status", item->status);
	}
	if (item->news == INBOX_RETRIES)
		cJSON_AddNumberToObject(json, "retry_seconds", seconds(item->retry_ns));
	if (item->transcode && item->news != INBOX_STARTS) {
		cJSON_AddNumberToObject(json, "attempts", item->transcode->attempts);
		json_result(json, item->transcode);
	}
	json_line(json);
}

static void item_log(const struct display *d, const struct inbox_item *item)
{
	const struct transcode *t = item->transcode;
	char text[600];

	cause(item, d->command, text, sizeof(text));
	switch (item->news) {
	case INBOX_STARTS: log_debug("%s: attempt %d", item->name, item->attempts + 1); break;
	case INBOX_DONE_NOW:
		log_info("%s: done, %" PRId64 " objects of %" PRId64 " bytes in %.1f s", item->name,
			 t->objects, t->bytes, seconds(t->end_ns - t->start_ns));
		break;
	case INBOX_WAS_DONE: log_info("%s: was published already", item->name); break;
	case INBOX_RETRIES:
		log_warn("%s: %s; again in %.0f s", item->name, text, seconds(item->retry_ns));
		break;
	case INBOX_FAILS:
		log_error("%s: %s (moved to " INBOX_FAILED "/; move it back for another try)",
			  item->name, text);
		break;
	case INBOX_LEAVES:
		log_error("%s: %s (left where it is, for the next run)", item->name, text);
		break;
	case INBOX_PROGRESS: break;
	}
}

static void told(void *cookie, const struct inbox_item *item)
{
	struct display *d = cookie;

	if (item->news == INBOX_PROGRESS) {
		if (d->json || due(d))
			show_progress(d, item->name, item->transcode);
		return;
	}
	end_line(d);
	item_log(d, item);
	if (d->json)
		item_json(d, item);
}

static int exit_status(const struct invocation *inv, int status)
{
	if (stop_signal())
		return 128 + stop_signal();
	if (status >= 0)
		return status;
	return inv->error.status ? (int)inv->error.status : MN_FAILED;
}

static int run_one(struct invocation *inv, struct transcode_options *o, struct display *d)
{
	int status;

	if (d->json || d->terminal) {
		o->tick = tick;
		o->tick_cookie = d;
	}
	status = transcode_run(&d->transcode, o, &inv->error);
	end_line(d);
	if (status < 0)
		command_fail(inv);
	else if (status > 0)
		log_warn("%s: exit status %d", o->argv[0], status);
	if (d->json && d->transcode.attempts > 0)
		print_json(&d->transcode, exit_status(inv, status));
	return exit_status(inv, status);
}

static int run_inbox(struct invocation *inv, struct inbox_options *in, struct display *d)
{
	int err;

	in->told = told;
	in->cookie = d;
	err = inbox_run(in, &d->counts, &inv->error);
	end_line(d);
	if (stop_signal())
		return 128 + stop_signal();
	if (err)
		return command_fail(inv);
	return d->counts.failed || d->counts.left ? MN_PARTIAL : MN_OK;
}

static int run(struct invocation *inv)
{
	struct inbox_options in = {
		.transcode = {.to = ".",
			      .kill_after_ns = 5 * NS_PER_S,
			      .staging_size = STAGING_DEFAULT},
	};
	struct display display = {.json = false};

	if (parse(inv, &in))
		return command_fail(inv);
	log_setup(inv->name, inv->common.quiet	   ? LOG_QUIET
			     : inv->common.verbose ? LOG_VERBOSE
						   : LOG_NORMAL);
	stop_install();
	display.json = inv->common.json;
	display.terminal = isatty(STDERR_FILENO) && !inv->common.quiet;
	display.command = in.transcode.argv[0];
	return in.dir ? run_inbox(inv, &in, &display) : run_one(inv, &in.transcode, &display);
}

const struct command command_transcode_hook = {
	.name = "transcode-hook",
	.summary = "Run a transcoder and publish what it makes",
	.operands = "-- COMMAND [ARGUMENT…]",
	.opts = opts,
	.common = "j",
	.run = run,
};
