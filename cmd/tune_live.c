/* The live loop's process: signals, the log of decisions, systemd. What it does is control/tuner.h.
 */
#include "cmd/tune.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/notify.h"
#include "control/exporter.h"
#include "control/figures.h"
#include "control/recording.h"

struct live {
	struct loop loop;
	struct exporter exporter;
	char *answer, *text; /* what is served, and written */
	bool text_failed;
	int64_t notified_ns; /* when the service manager was last told that we look */
	struct recording recording;
	struct tune_output output;
	struct tuner tuner;
	struct tune_config config;
	const struct tune_live *options;
	struct invocation *inv;
};

static void decided(struct tuner *tuner, const struct tuner_decision *decision)
{
	struct live *live = container_of(tuner, struct live, tuner);
	const struct common *common = &live->inv->common;

	if (common->quiet || !tune_output_begin(&live->output))
		return;
	tune_print(common, decision);
	tune_output_end(&live->output);
}

static void looked(struct tuner *tuner, int64_t now_ns)
{
	struct live *live = container_of(tuner, struct live, tuner);

	recording_add(&live->recording, now_ns, tuner->facts);
}

/* What was recorded so far is whole. */
static int end_recording(struct live *live)
{
	int err = recording_close(&live->recording);

	if (err)
		log_error("%s: %s (the recording is not whole)", live->options->record,
			  strerror(-err));
	return err;
}

static void write_textfile(struct live *live)
{
	const char *path = live->config.textfile;
	int err = figures_write(&live->tuner, live->text, FIGURES_ROOM(live->config.tuner.nspaces),
				path);

	if (err && !live->text_failed)
		log_warn("%s: %s", path, strerror(-err));
	live->text_failed = err != 0;
}

/* By any look: a period may be longer than the service manager waits. */
static void notify_alive(struct live *live)
{
	int64_t now = live->loop.now_ns;

	if (live->notified_ns && now - live->notified_ns < NS_PER_S)
		return;
	notify_state("WATCHDOG=1");
	live->notified_ns = now;
}

static void ticked(struct tuner *tuner, bool period)
{
	struct live *live = container_of(tuner, struct live, tuner);

	tune_output_looked(&live->output);
	notify_alive(live);
	if (period && live->text)
		write_textfile(live);
}

/* The memory of the figures is taken here, once for a configuration. */
static int open_figures(struct live *live, const struct tune_config *c, struct mn_error *e)
{
	size_t room = FIGURES_ROOM(c->tuner.nspaces);

	live->answer = c->metrics[0] ? malloc(room) : NULL;
	live->text = c->textfile[0] ? malloc(room) : NULL;
	if ((c->metrics[0] && !live->answer) || (c->textfile[0] && !live->text))
		return mn_fail_errno(e, ENOMEM, "metrics");
	if (!live->answer)
		return 0;
	return exporter_open(&live->exporter, &live->loop, &live->tuner, c->metrics,
			     c->metrics_port, live->answer, room, e);
}

static void close_figures(struct live *live)
{
	exporter_close(&live->exporter);
	free(live->answer);
	free(live->text);
	live->answer = live->text = NULL;
}

/* The figures first, for they may be refused; at the address of those there are, too. */
static int adopt(struct live *live, const struct tune_config *config, struct mn_error *e)
{
	struct mn_error before = MN_ERROR_INIT;
	int err;

	close_figures(live);
	err = open_figures(live, config, e);
	if (!err)
		err = tuner_reopen(&live->tuner, &config->tuner, e);
	if (!err)
		return 0;
	close_figures(live);
	if (open_figures(live, &live->config, &before))
		log_error("%s; figures are not served until that is mended and the configuration "
			  "read once more",
			  before.text);
	return err;
}

/* A bad configuration is told and refused: the loop goes on with the one it has. */
static void reload(struct live *live)
{
	struct mn_error e = MN_ERROR_INIT;
	struct tune_config config;
	int err;

	notify_state("RELOADING=1");
	err = tune_config_read(&config, &live->inv->common, &live->options->words, &e);
	if (!err)
		err = adopt(live, &config, &e);
	if (err) {
		log_error("%s; the old configuration stays", e.text);
		tune_config_free(&config);
	} else {
		struct tuner_wish *old = live->config.tuner.space;

		/* Its head names the spaces that it is of. */
		if (live->recording.file) {
			log_info("%s: the recording ends with the old configuration",
				 live->options->record);
			end_recording(live);
		}
		live->config = config;
		live->tuner.config = &live->config.tuner;
		free(old);
		log_info("configuration read again");
	}
	notify_state("READY=1");
}

static void on_signal(struct loop *loop, int signo)
{
	struct live *live = container_of(loop, struct live, loop);

	if (signo == SIGHUP)
		reload(live);
	else
		loop_stop(loop);
}

static int start(struct live *live, struct mn_error *e)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, 0};
	const struct common *common = &live->inv->common;
	int err = loop_init(&live->loop);

	if (err)
		return mn_fail_errno(e, -err, "event loop");
	live->tuner.looked = looked;
	live->tuner.decided = decided;
	live->tuner.ticked = ticked;
	live->tuner.once = live->options->once;
	err = tuner_open(&live->tuner, &live->loop, common->runtime_dir, &live->config.tuner,
			 common->dry_run, e);
	if (!err)
		err = open_figures(live, &live->config, e);
	if (!err && live->options->record)
		err = recording_create(&live->recording, live->options->record, &live->config.tuner,
				       e);
	if (err)
		return err;
	/* A log that nobody reads any more is no reason to stop; nor one that somebody holds up. */
	signal(SIGPIPE, SIG_IGN);
	if (!live->options->once)
		tune_output_open(&live->output);
	err = loop_signals(&live->loop, signals, on_signal);
	return err ? mn_fail_errno(e, -err, "signals") : 0;
}

/* Nobody looks at a cron job: what was named and is not there, or not written, is a failure. */
static int once_status(const struct live *live)
{
	const struct tuner_config *config = &live->config.tuner;
	size_t absent = 0;

	for (size_t i = 0; live->options->words.spaces[0] && i < config->nspaces; i++) {
		const struct space_name *name = &config->space[i].name;

		if (!live->tuner.facts[i].absent)
			continue;
		absent++;
		log_error("%s/%s: no such space (see memnet share list)", name->vm, name->space);
	}
	if (absent)
		return absent == config->nspaces ? MN_ABSENT : MN_PARTIAL;
	return live->text_failed ? MN_FAILED : MN_OK;
}

/* Records are parsed by the thousand: musl's malloc is not for that. */
static char json_memory[256 * 1024] __attribute__((aligned(16)));

int tune_live(struct invocation *inv, const struct tune_live *options)
{
	struct live live = {.options = options, .inv = inv};
	int status = MN_OK;
	int err = tune_config_read(&live.config, &inv->common, &options->words, &inv->error);

	json_use_memory(json_memory, sizeof(json_memory));
	if (!err)
		err = start(&live, &inv->error);
	if (!err) {
		notify_state("READY=1");
		err = loop_run(&live.loop);
		notify_state("STOPPING=1");
		tuner_failsafe(&live.tuner);
		if (!err && options->once)
			status = once_status(&live);
	}
	if (end_recording(&live))
		status = MN_FAILED;
	close_figures(&live);
	if (live.tuner.loop)
		tuner_close(&live.tuner);
	loop_fini(&live.loop);
	tune_config_free(&live.config);
	return err ? command_fail(inv) : status;
}
