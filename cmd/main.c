#include <errno.h>
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
	printf("memnet %s\nzstd %s\ncJSON %s\n%s\n", MEMNET_VERSION, ZSTD_versionString(),
	       cJSON_Version(), LIBNL_STRING);
}

static void print_help(void)
{
	printf("usage: memnet [--version|--help|--list-commands] COMMAND [OPTION…]\n\n"
	       "Takes network transmission out of virtual machines.\n\nCommands:\n");
	for (const struct command *const *c = commands; *c; c++)
		printf("  %-16s %s\n", (*c)->name, (*c)->summary);
	printf("\nEach command takes --help and has a manual page: man memnet-COMMAND.\n");
}

static const struct command *find_command(const char *name)
{
	for (const struct command *const *c = commands; *c; c++) {
		if (strcmp((*c)->name, name) == 0)
			return *c;
	}
	return NULL;
}

static const struct command *find_verb(const struct command *command, const char *name)
{
	for (const struct command *v = command->verbs; v->name; v++) {
		if (strcmp(v->name, name) == 0)
			return v;
	}
	return NULL;
}

static const char *setting(const char *variable, const char *fallback)
{
	const char *value = getenv(variable);

	return value && *value ? value : fallback;
}

static struct common common_defaults(void)
{
	return (struct common){
		.config = setting("MEMNET_CONF", "/etc/memnet/memnet.conf"),
		.config_given = getenv("MEMNET_CONF") != NULL,
		.runtime_dir = setting("MEMNET_RUNTIME_DIR", "/run/memnet"),
	};
}

/* `words` are those behind the command's name. */
static int run(const struct command *command, char **words)
{
	struct invocation inv = {.command = command, .common = common_defaults()};

	snprintf(inv.name, sizeof(inv.name), "memnet %s", command->name);
	if (command->verbs) {
		const char *verb = words[0];

		if (!verb || strcmp(verb, "--help") == 0) {
			usage_print(command, inv.name);
			return verb ? MN_OK : MN_USAGE;
		}
		inv.command = find_verb(command, verb);
		if (!inv.command) {
			mn_fail(&inv.error, MN_USAGE, EINVAL, "unknown verb \"%.32s\"", verb);
			return command_fail(&inv);
		}
		snprintf(inv.name, sizeof(inv.name), "memnet %s %s", command->name, verb);
		words++;
	}
	inv.argv = inv.operands = words;
	log_setup(inv.name, LOG_NORMAL);
	return inv.command->run(&inv);
}

static int run_main(char **words)
{
	const char *word = words[0];
	const struct command *command;

	if (!word || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		print_help();
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
	if (strcmp(word, "--complete") == 0)
		return complete_main(words + 1);
	command = find_command(word);
	if (!command) {
		fprintf(stderr, "memnet: unknown command \"%.32s\" (see memnet --help)\n", word);
		return MN_USAGE;
	}
	return run(command, words + 1);
}

/* A link named memnet-COMMAND is that command. */
static const struct command *command_by_link(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
	const char *name = slash ? slash + 1 : argv0;

	return name && strncmp(name, "memnet-", 7) == 0 ? find_command(name + 7) : NULL;
}

int main(int argc, char **argv)
{
	const struct command *command = argc > 0 ? command_by_link(argv[0]) : NULL;
	int status;

	/* A reader that went away is an error of write(2), which says so, not a silent death. */
	signal(SIGPIPE, SIG_IGN);
	status = command ? run(command, argv + 1) : run_main(argc > 0 ? argv + 1 : argv);
	if (fflush(stdout) != 0 && status == MN_OK) {
		fprintf(stderr, "memnet: standard output: %s\n", strerror(errno));
		status = MN_FAILED;
	}
	return status;
}
