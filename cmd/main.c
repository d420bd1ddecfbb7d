#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <netlink/version.h>
#include <zstd.h>

#include "base/log.h"
#include "cmd/command.h"

const struct command *const commands[] = {
	&command_share,		 &command_stream, &command_compress,
	&command_transcode_hook, &command_tune,	  NULL,
};

static void print_version(void)
{
	printf("memnet %s\nmusl %s\nzstd %s\ncJSON %s\n%s\n", MEMNET_VERSION, MUSL_VERSION,
	       ZSTD_versionString(), cJSON_Version(), LIBNL_STRING);
}

static void print_help(FILE *out)
{
	fprintf(out, "usage: memnet [--version|--help|--list-commands] COMMAND [OPTION…]\n\n"
		     "Takes network transmission out of virtual machines.\n\nCommands:\n");
	for (const struct command *const *c = commands; *c; c++)
		fprintf(out, "  %-16s %s\n", (*c)->name, (*c)->summary);
	fprintf(out, "\nEach command takes --help and has a manual page: man memnet-COMMAND.\n");
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* `words` are those behind the command's name. */
static int run(const struct command *command, char **words)
{
	struct invocation inv = {.command = command, .common = common_defaults()};

	snprintf(inv.name, sizeof(inv.name), "memnet %s", command->name);
	log_setup(inv.name, LOG_NORMAL);
	if (command->verbs) {
		const char *verb = words[0];

		if (!verb || is_help(verb)) {
			usage_print(command, inv.name, verb ? stdout : stderr);
			return verb ? MN_OK : MN_USAGE;
		}
		inv.command = command_verb(command, verb);
		if (!inv.command) {
			mn_fail(&inv.error, MN_USAGE, EINVAL, "unknown verb \"%.32s\"", verb);
			return command_fail(&inv);
		}
		snprintf(inv.name, sizeof(inv.name), "memnet %s %s", command->name, verb);
		log_setup(inv.name, LOG_NORMAL);
		words++;
	}
	inv.argv = inv.operands = words;
	return inv.command->run(&inv);
}

static int run_main(char **words)
{
	const char *word = words[0];
	const struct command *command;

	if (!word || is_help(word)) {
		print_help(word ? stdout : stderr);
		return word ? MN_OK : MN_USAGE;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		print_version();
		return MN_OK;
	}
	if (strcmp(word, "--list-commands") == 0) {
		for (const struct command *const *c = commands; *c; c++)
			puts((*c)->name);
		return MN_OK;
	}
	command = command_find(commands, word);
	if (!command) {
		log_error("unknown command \"%.32s\" (see memnet --help)", word);
		return MN_USAGE;
	}
	return run(command, words + 1);
}

/* A link named memnet-COMMAND is that command. */
static const struct command *command_by_link(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
	const char *name = slash ? slash + 1 : argv0;

	return name && strncmp(name, "memnet-", 7) == 0 ? command_find(commands, name + 7) : NULL;
}

/*
 * Without this, in a process started with one of the three closed, the next file opened would take
 * its number and the next message would land in that file. Opened the wrong way round, so that
 * writing to the lost ones still fails.
 */
static void occupy_standard_fds(void)
{
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
	}
}

int main(int argc, char **argv)
{
	const struct command *command = argc > 0 ? command_by_link(argv[0]) : NULL;

	occupy_standard_fds();
	/* A reader that went away is an error of write(2), which says so, not a silent death. */
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "--complete") == 0)
		return complete_main(commands, command, argv + 2);
	return output_finish(command ? run(command, argv + 1)
				     : run_main(argc > 0 ? argv + 1 : argv));
}
