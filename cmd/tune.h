/* What the files of `memnet tune` have in common. */
#pragma once

#include <limits.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "control/tuner.h"

/* The configuration, from the file's [tune] and [space VM/SPACE], and from the command line. */
struct tune_config {
	struct tuner_config tuner;
	enum tuner_failsafe failsafe; /* of spaces that have none of their own */
	uint64_t failsafe_bytes;
	char metrics[108]; /* an address or a path; "": none */
	uint16_t metrics_port;
	char textfile[PATH_MAX]; /* "": none */
};

/* A key of [tune], also --set KEY=VALUE. 0 or -EINVAL with *e. */
int tune_config_set(struct tune_config *config, const char *key, const char *value,
		    struct mn_error *e);

/* What the command line says beyond the file, taken again whenever that is read. */
struct tune_words {
	char *const *set; /* KEY=VALUE, `sets` of them */
	size_t sets;
	char *const *spaces; /* VM/SPACE[,KEY=VALUE…], NULL-terminated; none: all of the file */
};

/*
 * Reads the file, then the words over it. 0, or -errno with *e, which names file and line.
 * tune_config_free() accepts what either outcome left.
 */
int tune_config_read(struct tune_config *config, const struct common *common,
		     const struct tune_words *words, struct mn_error *e);
void tune_config_free(struct tune_config *config);

/* Prints a decision: a line, or with -j an object. */
void tune_print(const struct common *common, const struct tuner_decision *decision);

/* Standard output for a loop that waits for no reader: what there is no room for is left out. */
struct tune_output {
	bool open;
	bool stuck, cut; /* the last line was left out; was not taken whole */
	uint64_t left_out;
	int64_t until_ns, told_ns; /* a look's lines are waited for; when that was last told */
};

/* Standard error output waits no more, either. */
void tune_output_open(struct tune_output *output);

/* Around each line, of at most PIPE_BUF bytes; false: it is to be left out. One that was never
 * opened waits as any. */
bool tune_output_begin(struct tune_output *output);
void tune_output_end(struct tune_output *output);

/* After those of a look. */
void tune_output_looked(struct tune_output *output);

/* The live loop, until a signal, or for one period. The exit status. */
struct tune_live {
	struct tune_words words;
	const char *record; /* a file; NULL: none */
	bool once;
};
int tune_live(struct invocation *inv, const struct tune_live *options);

/* --simulate scenario:NAME,… or FILE,…, and --plan; `what` is cut. The exit status. */
int tune_simulate(struct invocation *inv, char *what);
int tune_plan(struct invocation *inv, char *what);
