/*
 * The multicall shape: one table of commands, each with its verbs and options as data. Dispatch,
 * --help and shell completion all read the same tables, so that none of them can be out of date.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

/*
 * One option. `key` is its letter, any number above 255 for one without, or OPT_NUMBER for one that
 * is a number itself, as -19: that stands in `value` (and may be followed by more letters; a single
 * digit that has a row of its own is that option). `value` is the
 * placeholder of its value in the usage ("SIZE"), NULL for a switch; completion knows FILE, DIR, VM
 * and VM/SPACE, and lists such as "q35|pc".
 */
struct opt {
	int key;
	const char *name; /* without the dashes; NULL: the letter only */
	const char *value;
	const char *help;
	bool optional; /* the value may be left out, and stands only behind '=' */
};
#define OPT_NUMBER 255
#define OPT_END                                                                                    \
	{                                                                                          \
		0, NULL, NULL, NULL, false                                                         \
	}

/* The options that mean the same everywhere, and how they came out. */
struct common {
	bool json;		 /* -j: one object, or one a line for streams of events */
	bool bare;		 /* -H: tab-separated, no header */
	bool exact;		 /* -p: exact numbers */
	unsigned quiet;		 /* -q, how often */
	unsigned verbose;	 /* -v, how often */
	bool dry_run;		 /* -n: say what would be done */
	const char *config;	 /* --config, MEMNET_CONF, /etc/memnet/memnet.conf */
	bool config_given;	 /* by the option or the variable: it must then exist */
	const char *runtime_dir; /* --runtime-dir, MEMNET_RUNTIME_DIR, /run/memnet; absolute after
				    OPTS_END */
};

/* What they are before any option: the environment's, or the defaults. */
struct common common_defaults(void);

struct invocation;

/* A command, or a verb of one. */
struct command {
	const char *name;
	const char *summary;  /* one line, no full stop */
	const char *operands; /* as usage prints them: "VM/SPACE", "[TAG] [DIR]"; NULL: none */
	const struct opt *opts;
	const char
		*common; /* which of j H p n it takes; -q, -v, -h and the long ones are for all */
	int (*run)(struct invocation *inv); /* the exit status */
	const struct command *verbs;	    /* ends with a name of NULL; run is NULL then */
};

/* One call of a command: its words, taken one option at a time. */
struct invocation {
	const struct command *command;
	char name[48]; /* "memnet share create" */
	struct common common;
	char **argv;	   /* the words not looked at yet; NULL-terminated */
	char *cluster;	   /* the rest of "-abc" */
	char number[12];   /* the value of OPT_NUMBER */
	const char *value; /* of the option opts_next() returned; NULL if it has none */
	char **operands;   /* after OPTS_END: what is not an option, NULL-terminated */
	int operand_count;
	char **rest; /* where the words behind "--" begin, NULL without one; operands has them too
		      */
	struct mn_error error;
};

/*
 * The next option's key, OPTS_END when all are taken, or OPTS_BAD with inv->error set. Options and
 * operands may be mixed; "--" ends the options. Common options are taken on the way; the log has
 * its level, and the run-time folder is checked, when all are.
 */
#define OPTS_END (-1)
#define OPTS_BAD (-2)
int opts_next(struct invocation *inv);

/* OPTS_BAD with MN_USAGE unless min <= operands <= max (max < 0: any number), else 0. */
int opts_operands(struct invocation *inv, int min, int max);

/* Prints inv->error, naming --help for MN_USAGE. The exit status to return. */
int command_fail(const struct invocation *inv);

/*
 * Ends the output: `status`, or where that is MN_OK and not all of stdout could be written,
 * MN_FAILED and a message.
 */
int output_finish(int status);

/* The tables; each in the file of its name. */
extern const struct command command_share, command_stream, command_compress, command_transcode_hook,
	command_tune;
extern const struct command *const commands[]; /* NULL-terminated, in main.c's order */

/* The row called `name` of a NULL-terminated table, or NULL. */
const struct command *command_find(const struct command *const *table, const char *name);

/* The verb of `command` called `name`, or NULL. */
const struct command *command_verb(const struct command *command, const char *name);

/* The option `letter`, or where that is 0 the one called `name`; the command's own before common
 * ones. */
const struct opt *command_opt(const struct command *command, char letter, const char *name,
			      size_t len);

/* Those for all commands; a switch such as --json is known only where it does something. */
extern const struct opt common_opts[];
bool command_takes(const struct command *command, const struct opt *common);

/* Prints the usage of `command`, called `name`. */
void usage_print(const struct command *command, const char *name, FILE *out);

/*
 * `memnet --complete WORD…`: on stdout, candidates for the last word, one a line, perhaps a tab and
 * help behind; or, for what a shell completes better, the one line ":file", ":dir" or ":command".
 * `command` is the one whose words these are; NULL: memnet itself. Silent whatever is wrong.
 */
int complete_main(const struct command *const *table, const struct command *command, char **words);
