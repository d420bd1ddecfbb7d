#include "cmd/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/tame.h"
#include "cmd/compress_list.h"
#include "cmd/options.h"
#include "guest/compress.h"
#include "guest/seektable.h"
#include "guest/stop.h"

enum {
	OPT_FAST = 256,
	OPT_ULTRA,
	OPT_LONG,
	OPT_TO,
	OPT_LIVE,
	OPT_MAX_WAIT,
	OPT_RM,
	OPT_FILELIST,
	OPT_NO_CHECK,
	OPT_EXCLUDE,
	OPT_NO_PROGRESS,
	OPT_ADAPT,
	OPT_SEEKABLE,
	OPT_PASS_THROUGH,
	OPT_NO_PASS_THROUGH,
	OPT_SPARSE,
	OPT_NO_SPARSE,
};

static const struct opt opts[] = {
	{OPT_NUMBER, NULL, "LEVEL", "compression level, 1 to 19 (3); to 22 with --ultra", false},
	{OPT_FAST, "fast", "N", "faster than level 1, N times over", true},
	{OPT_ULTRA, "ultra", NULL, "allow levels 20 to 22", false},
	{OPT_LONG, "long", "LOG", "find matches far apart, in a window of 2^LOG bytes (27)", true},
	{OPT_ADAPT, "adapt", "min=N,max=N",
	 "let the level follow what the host drains, from min (1) to max (19)", true},
	{OPT_SEEKABLE, "seekable", "SIZE", "frames of SIZE (4M) and a seek table behind them",
	 true},
	{'T', "threads", "N", "compress with N threads; 0: one for each CPU", false},
	{'C', "check", NULL, "write or verify the checksum (the default)", false},
	{OPT_NO_CHECK, "no-check", NULL, "leave the checksum out, or unread", false},
	{'z', "compress", NULL, "compress (the default)", false},
	{'d', "decompress", NULL, "decompress", false},
	{OPT_PASS_THROUGH, "pass-through", NULL,
	 "with -d: copy what is not zstd as it is (the default with -f to standard output)", false},
	{OPT_NO_PASS_THROUGH, "no-pass-through", NULL, "with -d: refuse it", false},
	{OPT_SPARSE, "sparse", NULL, "with -d: make runs of zeros holes of files (the default)",
	 false},
	{OPT_NO_SPARSE, "no-sparse", NULL, "with -d: make none", false},
	{'t', "test", NULL, "test compressed files", false},
	{'l', "list", NULL, "tell frames, sizes, ratio and checksum of compressed files", false},
	{OPT_TO, "to", "DIR", "into the space that DIR lies in, as objects below it", false},
	{OPT_LIVE, "live", NULL, "with --to: objects can be read while they grow", false},
	{OPT_MAX_WAIT, "max-wait", "DURATION", "with --to: wait for room no longer than this",
	 false},
	{'o', NULL, "NAME", "one output, file or object, for all inputs", false},
	{'c', "stdout", NULL, "write to standard output", false},
	{'f', "force", NULL, "replace what is there; read links and devices too", false},
	{'k', "keep", NULL, "keep the inputs (the default)", false},
	{OPT_RM, "rm", NULL, "remove each input once its output is published", false},
	{'r', NULL, NULL, "go into folders", false},
	{OPT_FILELIST, "filelist", "FILE", "read names of inputs from FILE, one a line", false},
	{'0', "null", NULL, "names in a --filelist end in NUL, not newline", false},
	{OPT_EXCLUDE, "exclude-compressed", NULL, "leave out files whose suffix says compressed",
	 false},
	{OPT_NO_PROGRESS, "no-progress", NULL, "show no progress on a terminal", false},
	OPT_END,
};

struct arguments {
	struct compress_options run;
	struct inputs inputs;
	size_t unread; /* folders, which have failed */
	const char *filelist[16];
	size_t filelists;
	bool ultra, stdout_asked, recursive, null, exclude, no_progress, list, adapt;
	int pass_through; /* 1: asked for, -1: refused */
};

static int level_option(const char *text, int max, int sign, int *level, struct mn_error *e)
{
	int64_t number;
	int err = parse_number(text, "level", sign > 0 ? 0 : 1, max, &number, e);

	if (!err)
		*level = sign * (int)number;
	return err;
}

static int window_option(const char *text, struct encode_options *o, struct mn_error *e)
{
	int64_t number = 27;
	int err = text ? parse_number(text, "window", 10, 31, &number, e) : 0;

	o->long_window = o->window_max = (int)number;
	return err;
}

/* "min=N,max=N" in any order, or either. NULL: neither. */
static int adapt_option(const char *text, struct arguments *a, struct mn_error *e)
{
	a->adapt = true;
	if (!text)
		return 0;
	do {
		size_t len = strcspn(text, ",");
		int *bound = strncmp(text, "min=", 4) == 0   ? &a->run.adapt_min
			     : strncmp(text, "max=", 4) == 0 ? &a->run.adapt_max
							     : NULL;
		char number[8];
		int err;

		if (!bound || len - 4 >= sizeof(number))
			return mn_fail(e, MN_USAGE, EINVAL,
				       "bad --adapt \"%s\": want min=N,max=N, levels from 1 to 22",
				       text);
		snprintf(number, sizeof(number), "%.*s", (int)(len - 4), text + 4);
		err = level_option(number, ADAPT_LEVEL_MAX, 1, bound, e);
		if (err)
			return err;
		text += len + (text[len] == ',');
	} while (*text);
	return 0;
}

static int seekable_option(const char *text, struct encode_options *o, struct mn_error *e)
{
	int err;

	o->frame_size = (uint64_t)4 << 20;
	err = text ? parse_size(text, &o->frame_size, e) : 0;
	if (!err && (o->frame_size < 1024 || o->frame_size > SEEK_FRAME_MAX))
		return mn_fail(e, MN_USAGE, EINVAL, "bad frame size \"%s\": want 1K to 1G", text);
	return err;
}

static int threads_option(const char *text, struct encode_options *o, struct mn_error *e)
{
	int64_t number;
	int err = parse_number(text, "number of threads", 0, 256, &number, e);

	if (err)
		return err;
	if (number == 0)
		number = sysconf(_SC_NPROCESSORS_ONLN);
	/* One thread is the one there is: a worker beside it would only add a switch. */
	o->workers = number > 1 ? (int)number : 0;
	return 0;
}

static int filelist_option(struct arguments *a, const char *file, struct mn_error *e)
{
	if (a->filelists == sizeof(a->filelist) / sizeof(*a->filelist))
		return mn_fail(e, MN_USAGE, E2BIG, "more than 16 --filelist");
	a->filelist[a->filelists++] = file;
	return 0;
}

static int take(struct invocation *inv, struct arguments *a, int key)
{
	struct compress_options *run = &a->run;
	struct mn_error *e = &inv->error;
	const char *value = inv->value;

	switch (key) {
	case OPT_NUMBER: return level_option(value, 22, 1, &run->encode.level, e);
	case OPT_FAST: return level_option(value ? value : "1", 131072, -1, &run->encode.level, e);
	case OPT_ULTRA: a->ultra = true; return 0;
	case OPT_LONG: return window_option(value, &run->encode, e);
	case 'T': return threads_option(value, &run->encode, e);
	case OPT_ADAPT: return adapt_option(value, a, e);
	case OPT_SEEKABLE: return seekable_option(value, &run->encode, e);
	case 'l': a->list = true; return 0;
	case 'C': run->encode.no_checksum = false; return 0;
	case OPT_NO_CHECK: run->encode.no_checksum = true; return 0;
	case OPT_PASS_THROUGH: a->pass_through = 1; return 0;
	case OPT_NO_PASS_THROUGH: a->pass_through = -1; return 0;
	case OPT_SPARSE: run->no_sparse = false; return 0;
	case OPT_NO_SPARSE: run->no_sparse = true; return 0;
	case 'z': run->action = ACTION_COMPRESS; return 0;
	case 'd': run->action = ACTION_DECOMPRESS; return 0;
	case 't': run->action = ACTION_TEST; return 0;
	case OPT_TO: run->to = value; return 0;
	case OPT_LIVE: run->live = true; return 0;
	case OPT_MAX_WAIT: return parse_duration(value, &run->max_wait_ns, e);
	case 'o': run->output = value; return 0;
	case 'c': a->stdout_asked = true; return 0;
	case 'f': run->replace = true; return 0;
	case 'k': run->remove = false; return 0;
	case OPT_RM: run->remove = true; return 0;
	case 'r': a->recursive = true; return 0;
	case OPT_FILELIST: return filelist_option(a, value, e);
	case '0': a->null = true; return 0;
	case OPT_EXCLUDE: a->exclude = true; return 0;
	case OPT_NO_PROGRESS: a->no_progress = true; return 0;
	default: return 0;
	}
}

static int take_environment(struct arguments *a, struct mn_error *e)
{
	const char *level = getenv("ZSTD_CLEVEL"), *threads = getenv("ZSTD_NBTHREADS");
	int err = 0;

	a->run.encode.level = 3;
	if (level && *level)
		err = level_option(*level == '-' ? level + 1 : level, *level == '-' ? 131072 : 22,
				   *level == '-' ? -1 : 1, &a->run.encode.level, e);
	if (!err && threads && *threads)
		err = threads_option(threads, &a->run.encode, e);
	return err;
}

static int usage(struct invocation *inv, const char *text)
{
	return mn_fail(&inv->error, MN_USAGE, EINVAL, "%s", text);
}

static int settle_adapt(struct invocation *inv, struct arguments *a)
{
	struct compress_options *run = &a->run;

	run->adapt_min = run->adapt_min ? run->adapt_min : 1;
	run->adapt_max = run->adapt_max ? run->adapt_max : a->ultra ? ADAPT_LEVEL_MAX : 19;
	if (run->adapt_max > 19 && !a->ultra)
		return usage(inv, "--adapt beyond level 19 wants --ultra");
	return run->adapt_min > run->adapt_max ? usage(inv, "--adapt: min is above max") : 0;
}

/* What does not go together, and what follows from what. */
static int settle(struct invocation *inv, struct arguments *a)
{
	struct compress_options *run = &a->run;

	if (run->encode.level == 0)
		run->encode.level = 3;
	if (run->encode.level > 19 && !a->ultra) {
		log_warn("level %d is for --ultra; 19 it is", run->encode.level);
		run->encode.level = 19;
	}
	if (run->to && a->stdout_asked)
		return usage(inv, "--to and -c are two places");
	if (run->live && !run->to)
		return usage(inv, "--live wants --to");
	if (run->max_wait_ns && !run->to)
		return usage(inv, "--max-wait wants --to");
	if (a->stdout_asked)
		run->output = "-";
	if (run->to && run->action == ACTION_TEST)
		return usage(inv, "-t makes nothing for --to");
	return a->adapt ? settle_adapt(inv, a) : 0;
}

static int parse(struct invocation *inv, struct arguments *a)
{
	int key, err = take_environment(a, &inv->error);

	if (err)
		return err;
	while ((key = opts_next(inv)) >= 0) {
		err = take(inv, a, key);
		if (err)
			return err;
	}
	return key == OPTS_BAD ? OPTS_BAD : settle(inv, a);
}

/* The suffixes of formats that gain nothing from compression. */
static bool is_compressed(const char *path)
{
	static const char *const suffixes[] = {
		"7z",	"aac",	"apk",	"avi",	"br",	"bz2",	"deb",	"docx", "flac", "gif",
		"gz",	"jar",	"jpg",	"jpeg", "lz",	"lz4",	"lzma", "m4a",	"mkv",	"mov",
		"mp3",	"mp4",	"ogg",	"opus", "png",	"pptx", "rar",	"rpm",	"tgz",	"txz",
		"tzst", "webm", "webp", "whl",	"xlsx", "xz",	"zip",	"zst",	"zstd",
	};
	const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');

	for (size_t i = 0; dot && i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		if (strcasecmp(dot + 1, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static int collect(struct invocation *inv, struct arguments *a)
{
	size_t *unread = a->recursive ? &a->unread : NULL;
	int err = 0;

	for (int i = 0; i < inv->operand_count && !err; i++)
		err = inputs_add(&a->inputs, inv->operands[i], unread);
	for (size_t i = 0; i < a->filelists && !err; i++)
		err = inputs_add_listed(&a->inputs, a->filelist[i], a->null ? '\0' : '\n', unread,
					&inv->error);
	if (!err && inv->operand_count == 0 && a->filelists == 0)
		err = inputs_add(&a->inputs, "-", NULL);
	if (a->unread && inv->common.quiet < 2)
		log_error("%zu folders could not be read", a->unread);
	if (err && !inv->error.text[0])
		mn_fail_errno(&inv->error, -err, "list of inputs");
	return err;
}

static bool from_stdin(const struct arguments *a)
{
	return a->inputs.count == 1 && strcmp(a->inputs.list[0].path, "-") == 0;
}

static bool to_stdout(const struct arguments *a)
{
	const struct compress_options *run = &a->run;

	return !run->to && (run->output ? strcmp(run->output, "-") == 0 : from_stdin(a));
}

/* As zstd(1): what went to standard output may be lost yet, and in an output of several inputs
 * their names are; a test makes nothing. */
static void settle_removal(struct arguments *a)
{
	struct compress_options *run = &a->run;

	if (!run->remove || (run->action != ACTION_TEST && !to_stdout(a) && !run->shared))
		return;
	log_warn("inputs are kept: --rm is for outputs of one input each");
	run->remove = false;
}

/* As zstd(1): cat for files of both kinds. */
static bool passes_through(const struct arguments *a)
{
	const struct compress_options *run = &a->run;

	return a->pass_through ? a->pass_through > 0
			       : run->replace && to_stdout(a) && run->action == ACTION_DECOMPRESS;
}

/* zstd(1) does the same: nobody wants frames on a terminal. */
static int check_terminals(struct invocation *inv, const struct arguments *a)
{
	const struct compress_options *run = &a->run;

	if (from_stdin(a) && run->to && !run->output)
		return usage(inv, "-o NAME wanted for what comes from standard input");
	if (run->replace)
		return 0;
	if (to_stdout(a) && run->action == ACTION_COMPRESS && isatty(STDOUT_FILENO))
		return usage(inv, "standard output is a terminal: -o FILE, or -f");
	if (from_stdin(a) && isatty(STDIN_FILENO))
		return usage(inv, "standard input is a terminal: FILE, or -f");
	return 0;
}

static double seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

static void print_json(const struct compress *c)
{
	cleanup_json cJSON *json = cJSON_CreateObject();

	cJSON_AddNumberToObject(json, "schema", 1);
	cJSON_AddStringToObject(json, "command", "compress");
	cJSON_AddNumberToObject(json, "files", (double)c->done);
	cJSON_AddNumberToObject(json, "failed", (double)c->failed);
	cJSON_AddNumberToObject(json, "bytes_in", (double)c->total.in);
	cJSON_AddNumberToObject(json, "bytes_out", (double)c->total.out);
	cJSON_AddNumberToObject(json, "seconds", seconds(c->end_ns - c->start_ns));
	cJSON_AddNumberToObject(json, "cpu_seconds", seconds(c->cpu_ns));
	cJSON_AddNumberToObject(json, "blocked_seconds", seconds(c->blocked_ns));
	if (c->options.adapt_max)
		cJSON_AddNumberToObject(json, "level", c->levels.adapt.level);
	if (*c->job.record.id)
		cJSON_AddStringToObject(json, "record", c->job.record.id);
	json_print_line(json);
}

/* Several inputs: their own lines, in the order they fail. */
static void report_failure(const struct invocation *inv, struct mn_error *e)
{
	if (inv->common.quiet < 2)
		log_error("%s", e->text);
	e->text[0] = '\0';
}

static int exit_status(const struct compress *c, enum mn_status first)
{
	if (stop_signal())
		return 128 + stop_signal();
	if (c->failed == 0)
		return MN_OK;
	return c->done ? MN_PARTIAL : first ? (int)first : MN_FAILED;
}

/* Progress: one line on a terminal, written over. */
struct display {
	const struct compress *compress;
	int64_t last_ns;
};

static void show(void *cookie)
{
	struct display *d = cookie;
	const struct compress *c = d->compress;
	char name[41], in[16], out[16], rate[16], left[32] = "", level[16] = "";
	int64_t now = clock_ns();
	double elapsed = seconds(now - c->input_start_ns);
	double done = (double)c->counts.in;

	if (now - d->last_ns < NS_PER_S / 5 || elapsed < 0.5)
		return;
	d->last_ns = now;
	if (c->input_size != SOURCE_SIZE_UNKNOWN && done > 0)
		snprintf(left, sizeof(left), ", %.0f s left",
			 ((double)c->input_size - done) * elapsed / done);
	if (c->options.adapt_max)
		snprintf(level, sizeof(level), ", level %d", c->levels.adapt.level);
	snprintf(name, sizeof(name), "%s", c->input_path);
	tame(name, '?');
	fprintf(stderr, "\r%s: %s to %s (%.1f %%), %s/s%s%s\033[K", name,
		format_size(c->counts.in, in), format_size(c->counts.out, out),
		done > 0 ? 100 * (double)c->counts.out / done : 0.0,
		format_size((uint64_t)(done / elapsed), rate), level, left);
}

static void erase(const struct display *d)
{
	if (d->last_ns)
		fputs("\r\033[K", stderr);
}

static int run_all(struct invocation *inv, struct arguments *a)
{
	struct mn_error *e = &inv->error;
	enum mn_status first = MN_OK;
	struct compress c;
	struct display display = {.compress = &c};

	if (isatty(STDERR_FILENO) && !inv->common.quiet && !a->no_progress) {
		a->run.tick = show;
		a->run.tick_cookie = &display;
	}
	if (compress_check(&a->run, &a->inputs, e) || compress_open(&c, &a->run, e)) {
		first = (enum mn_status)command_fail(inv);
		return stop_signal() ? 128 + stop_signal() : (int)first;
	}
	c.failed += a->unread;
	for (size_t i = 0; i < a->inputs.count && !stop_signal() && !compress_lost(&c); i++) {
		if (a->exclude && is_compressed(a->inputs.list[i].path))
			continue;
		if (compress_input(&c, &a->inputs.list[i], e)) {
			erase(&display);
			first = first ? first : e->status;
			report_failure(inv, e);
		}
	}
	erase(&display);
	if (compress_close(&c, e)) {
		first = first ? first : e->status;
		report_failure(inv, e);
	}
	if (inv->common.json)
		print_json(&c);
	return exit_status(&c, first);
}

static int run(struct invocation *inv)
{
	struct arguments a = {0};
	int status = MN_USAGE;

	if (parse(inv, &a) || collect(inv, &a) || (!a.list && check_terminals(inv, &a))) {
		status = command_fail(inv);
	} else if (a.list) {
		status = compress_list(inv, &a.inputs);
	} else {
		stop_install();
		a.run.shared = a.run.output && a.inputs.count > 1;
		a.run.pass_through = passes_through(&a);
		settle_removal(&a);
		status = run_all(inv, &a);
	}
	inputs_free(&a.inputs);
	return status;
}

const struct command command_compress = {
	.name = "compress",
	.summary = "Compress files as zstd(1) does, into a space without ever failing for want of "
		   "room",
	.operands = "[FILE…]",
	.opts = opts,
	.common = "j",
	.run = run,
};
