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
#include "guest/stop.h"
#include "guest/transcode.h"

enum { OPT_TO = 256, OPT_NAME, OPT_FILES, OPT_LIVE, OPT_TIMEOUT, OPT_KILL, OPT_WAIT, OPT_RETRIES };

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
	OPT_END,
};

static int take(struct invocation *inv, struct transcode_options *o, int key)
{
	struct mn_error *e = &inv->error;
	int64_t number = 0;
	int err;

	switch (key) {
	case OPT_TO: o->to = inv->value; return 0;
	case OPT_NAME: o->name = inv->value; return 0;
	case OPT_FILES: o->files = true; return 0;
	case OPT_LIVE: o->live = true; return 0;
	case 'f': o->replace = true; return 0;
	case OPT_TIMEOUT: return parse_duration(inv->value, &o->timeout_ns, e);
	case OPT_KILL: return parse_duration(inv->value, &o->kill_after_ns, e);
	case OPT_WAIT: return parse_duration(inv->value, &o->max_wait_ns, e);
	case OPT_RETRIES:
		err = parse_number(inv->value, "number of retries", 0, 1000, &number, e);
		o->retries = (int)number;
		return err;
	default: return 0;
	}
}

static int usage(struct invocation *inv, const char *text)
{
	return mn_fail(&inv->error, MN_USAGE, EINVAL, "%s", text);
}

static int parse(struct invocation *inv, struct transcode_options *o)
{
	int key;

	while ((key = opts_next(inv)) >= 0) {
		int err = take(inv, o, key);

		if (err)
			return err;
	}
	if (key == OPTS_BAD)
		return OPTS_BAD;
	if (!inv->rest || !inv->rest[0] || inv->rest != inv->operands)
		return usage(inv, "-- COMMAND wanted");
	if (!o->name && !o->files)
		return usage(inv, "--name or --files wanted");
	if (o->live && o->files)
		return usage(inv, "--live is for one object; --files publishes each file whole");
	if (o->kill_after_ns > 3600 * NS_PER_S)
		return usage(inv, "--kill-after of more than an hour");
	o->argv = inv->rest;
	return 0;
}

static double seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

static void print_json(const struct transcode *t, int status)
{
	cleanup_json cJSON *json = cJSON_CreateObject();
	const struct progress *p = &t->progress;

	cJSON_AddNumberToObject(json, "schema", 1);
	cJSON_AddStringToObject(json, "command", "transcode-hook");
	cJSON_AddNumberToObject(json, "status", status);
	cJSON_AddNumberToObject(json, "attempts", t->attempts);
	cJSON_AddNumberToObject(json, "objects", (double)t->objects);
	cJSON_AddNumberToObject(json, "bytes_out", (double)t->bytes);
	cJSON_AddNumberToObject(json, "seconds", seconds(t->end_ns - t->start_ns));
	cJSON_AddNumberToObject(json, "cpu_seconds", seconds(t->cpu_ns));
	cJSON_AddNumberToObject(json, "blocked_seconds", seconds(t->blocked_ns));
	if (p->blocks > 0) {
		cJSON_AddNumberToObject(json, "frames", (double)p->frames);
		cJSON_AddNumberToObject(json, "media_seconds", (double)p->out_time_us / 1e6);
		cJSON_AddNumberToObject(json, "speed", p->speed);
	}
	cJSON_AddStringToObject(json, "record", t->job.record.id);
	json_print_line(json);
}

/* One line on a terminal, written over as the command goes on. */
struct display {
	const struct transcode *transcode;
	int64_t last_ns;
};

static void show(void *cookie)
{
	struct display *d = cookie;
	const struct progress *p = &d->transcode->progress;

	if (p->blocks == 0 || clock_ns() - d->last_ns < NS_PER_S / 5)
		return;
	d->last_ns = clock_ns();
	fprintf(stderr, "\r%" PRId64 " frames, %.1f s, %.2fx, %" PRId64 " objects \033[K",
		p->frames, (double)p->out_time_us / 1e6, p->speed, d->transcode->objects);
}

static int exit_status(const struct invocation *inv, int status)
{
	if (stop_signal())
		return 128 + stop_signal();
	if (status >= 0)
		return status;
	return inv->error.status ? (int)inv->error.status : MN_FAILED;
}

static int run(struct invocation *inv)
{
	struct transcode_options o = {.to = ".", .kill_after_ns = 5 * NS_PER_S};
	struct transcode t = {.attempts = 0};
	struct display display = {.transcode = &t};
	int status;

	if (parse(inv, &o))
		return command_fail(inv);
	log_setup(inv->name, inv->common.quiet	   ? LOG_QUIET
			     : inv->common.verbose ? LOG_VERBOSE
						   : LOG_NORMAL);
	stop_install();
	if (isatty(STDERR_FILENO) && !inv->common.quiet) {
		o.tick = show;
		o.tick_cookie = &display;
	}
	status = transcode_run(&t, &o, &inv->error);
	if (display.last_ns)
		fputc('\n', stderr);
	if (status < 0)
		command_fail(inv);
	else if (status > 0)
		log_warn("%s: exit status %d", o.argv[0], status);
	if (inv->common.json && t.attempts > 0)
		print_json(&t, exit_status(inv, status));
	return exit_status(inv, status);
}

const struct command command_transcode_hook = {
	.name = "transcode-hook",
	.summary = "Run a transcoder and publish what it makes",
	.operands = "-- COMMAND [ARGUMENT…]",
	.opts = opts,
	.common = "j",
	.run = run,
};
