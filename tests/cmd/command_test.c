/* The option parser: what a command is handed for every way to write its words. */
#include "cmd/command.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/tap.h"

enum { OPT_MACHINE = 300, OPT_LEVEL };

static const struct opt opts[] = {
	{'a', "all", NULL, "take all", false},
	{'b', NULL, NULL, "letter only", false},
	{'o', "output", "FILE", "write there", false},
	{OPT_MACHINE, "machine", "q35|pc", "which", false},
	{OPT_LEVEL, "long", "N", "perhaps", true},
	{'p', NULL, "N", "not the common -p", false},
	OPT_END,
};
static const struct command command = {
	.name = "try",
	.summary = "try",
	.operands = "FILE",
	.opts = opts,
	.common = "jp",
};
static const struct command verbs[] = {{.name = "one"}, {.name = "two"}, {.name = NULL}};
static const struct command with_verbs = {.name = "verbs", .verbs = verbs};

#define WORDS_MAX 16
static char *words[WORDS_MAX];
static struct invocation inv;
static char seen[512];

static void see(const char *before, const char *text)
{
	size_t at = strlen(seen);

	snprintf(seen + at, sizeof(seen) - at, "%s%s", before, text);
}

static void see_option(int key)
{
	char name[16];

	if (key < 256)
		snprintf(name, sizeof(name), "-%c", key);
	else
		snprintf(name, sizeof(name), "<%d>", key);
	see(" ", name);
	if (inv.value)
		see("=", inv.value);
}

/*
 * Splits `line` at blanks ('_' stands for an empty word), and takes all its options. What came out,
 * in order, as "-a -o=x <300>=q35 | operand operand", with " -- operand" where the rest begins.
 */
static const char *take(const char *line)
{
	static char copy[256];
	int n = 0, key;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word && n < WORDS_MAX - 1; word = strtok(NULL, " "))
		words[n++] = strcmp(word, "_") == 0 ? word + 1 : word;
	words[n] = NULL;
	inv = (struct invocation){.command = &command,
				  .name = "memnet try",
				  .argv = words,
				  .operands = words,
				  .common = {.runtime_dir = "/run/memnet"}};
	seen[0] = '\0';
	while ((key = opts_next(&inv)) >= 0)
		see_option(key);
	if (key == OPTS_BAD) {
		see(" ! ", inv.error.text);
		return seen;
	}
	see(" |", "");
	for (int i = 0; i < inv.operand_count; i++) {
		if (inv.rest == inv.operands + i)
			see(" --", "");
		see(" ", inv.operands[i]);
	}
	ok(inv.operands[inv.operand_count] == NULL, "operands end");
	return seen;
}

static void spellings(void)
{
	is_str(take(""), " |", "nothing");
	is_str(take("-a"), " -a |", "a letter");
	is_str(take("--all"), " -a |", "its name");
	is_str(take("-ab"), " -a -b |", "two letters in one");
	is_str(take("-o x"), " -o=x |", "a letter's value behind it");
	is_str(take("-ox"), " -o=x |", "or with it");
	is_str(take("-abox"), " -a -b -o=x |", "at the end of a cluster");
	is_str(take("-abo x"), " -a -b -o=x |", "behind a cluster");
	is_str(take("-oa -b"), " -o=a -b |", "a value that looks like a letter");
	is_str(take("-o -a"), " -o=-a |", "a value that looks like an option");
	is_str(take("-o --"), " -o=-- |", "a value that looks like the end");
	is_str(take("-o=x"), " -o==x |", "a letter's value has no '='");
	is_str(take("--output x"), " -o=x |", "a name's value behind it");
	is_str(take("--output=x"), " -o=x |", "or with it");
	is_str(take("--output="), " -o= |", "which may be empty");
	is_str(take("--output _"), " -o= |", "in a word of its own too");
	is_str(take("--output=a=b"), " -o=a=b |", "and have an '='");
	is_str(take("--machine pc --machine=q35"), " <300>=pc <300>=q35 |",
	       "a name without a letter");
	is_str(take("-p 5"), " -p=5 |", "the command's own come before common ones");
}

static void optional_values(void)
{
	is_str(take("--long"), " <301> |", "left out");
	is_str(take("--long=27"), " <301>=27 |", "given");
	is_str(take("--long 27"), " <301> | 27", "never the next word");
	is_str(take("--long="), " <301>= |", "given, empty");
}

static void operands(void)
{
	is_str(take("x y"), " | x y", "only operands");
	is_str(take("x -a y --output z w"), " -a -o=z | x y w", "among options");
	is_str(take("x - y"), " | x - y", "a dash alone is one");
	is_str(take("_ x"), " |  x", "an empty word is one");
	is_str(take("x -- -a --all -- y"), " | x -- -a --all -- y", "behind '--' all are");
	is_str(take("-a -- x"), " -a | -- x", "options in front of it");
	is_str(take("x --"), " | x", "nothing behind it");
	ok(inv.rest == inv.operands + 1 && *inv.rest == NULL, "but it was there");
	take("x");
	ok(inv.rest == NULL, "and here it was not");
	is_int(opts_next(&inv), OPTS_END, "the end stays the end");
	is_str(inv.operands[0], "x", "with its operands");
}

static void common(void)
{
	is_str(take("-jqv x --config=/c --runtime-dir /r"), " | x", "taken on the way");
	ok(inv.common.json && inv.common.quiet && inv.common.verbose, "switches");
	is_str(inv.common.config, "/c", "the configuration");
	ok(inv.common.config_given, "which was given");
	is_str(inv.common.runtime_dir, "/r", "the run-time folder");
	take("--json");
	ok(inv.common.json && !inv.common.quiet && !inv.common.dry_run, "by name");
	is_str(take("-n"), " ! unknown option \"-n\"", "not those it does not take");
	is_str(take("--dry-run"), " ! unknown option \"--dry-run\"", "by no name");
	is_str(take("-H"), " ! unknown option \"-H\"", "nor letter");
	is_str(take("--runtime-dir r x"),
	       " ! an absolute path is wanted for the run-time folder, not \"r\"",
	       "a relative one");
}

static void levels(void)
{
	take("-v");
	ok(log_verbose(), "-v makes the log verbose");
	take("-q -v");
	ok(!log_verbose(), "-q wins");
	take("");
	ok(!log_verbose(), "and neither is neither");
}

static void bad(void)
{
	static const struct {
		const char *line, *error;
	} cases[] = {
		{"-x", "unknown option \"-x\""},
		{"-ax", "unknown option \"-x\""},
		{"--al", "unknown option \"--al\""},
		{"--alll", "unknown option \"--alll\""},
		{"--ALL", "unknown option \"--ALL\""},
		{"---", "unknown option \"---\""},
		{"--=x", "unknown option \"--\""},
		{"--what=x", "unknown option \"--what\""},
		{"--all=x", "no value is wanted by \"--all\""},
		{"-o", "a value is wanted by \"-o\""},
		{"-ao", "a value is wanted by \"-o\""},
		{"--output", "a value is wanted by \"--output\""},
		{"--machine", "a value is wanted by \"--machine\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *got = strstr(take(cases[i].line), "! ");

		is_str(got ? got + 2 : NULL, cases[i].error, "%s", cases[i].line);
		is_int(inv.error.status, MN_USAGE, "is a matter of usage");
	}
}

static void counts(void)
{
	take("x y");
	is_int(opts_operands(&inv, 2, 2), 0, "as many as wanted");
	is_int(opts_operands(&inv, 0, -1), 0, "any number");
	is_int(opts_operands(&inv, 3, 3), OPTS_BAD, "too few");
	is_str(inv.error.text, "FILE wanted", "says what is missing");
	is_int(opts_operands(&inv, 0, 1), OPTS_BAD, "too many");
	is_str(inv.error.text, "y is one too many", "says which");
	is_int(inv.error.status, MN_USAGE, "is a matter of usage");
}

static void tables(void)
{
	const struct command *const table[] = {&command, &with_verbs, NULL};

	ok(command_find(table, "verbs") == &with_verbs, "a command by name");
	ok(!command_find(table, "verb") && !command_find(table, ""), "the whole name");
	ok(command_verb(&with_verbs, "two") == &verbs[1], "a verb by name");
	ok(!command_verb(&with_verbs, "three"), "none that is not there");
	ok(!command_verb(&command, "two"), "none of a command without");
}

static void environment(void)
{
	unsetenv("MEMNET_CONF");
	unsetenv("MEMNET_RUNTIME_DIR");
	is_str(common_defaults().runtime_dir, "/run/memnet", "the run-time folder");
	is_str(common_defaults().config, "/etc/memnet/memnet.conf", "the configuration");
	ok(!common_defaults().config_given, "which need not exist");
	setenv("MEMNET_CONF", "", 1);
	ok(!common_defaults().config_given, "an empty variable says nothing");
	setenv("MEMNET_CONF", "/c", 1);
	setenv("MEMNET_RUNTIME_DIR", "/r", 1);
	is_str(common_defaults().runtime_dir, "/r", "another run-time folder");
	is_str(common_defaults().config, "/c", "another configuration");
	ok(common_defaults().config_given, "which must exist");
}

/* What a child says on stdout, or fd 2; its exit status in *status. */
static const char *output_of(int fd, void (*child)(void), int *status)
{
	static char text[8192];
	size_t done = 0;
	ssize_t n;
	int pipes[2];
	pid_t pid;

	if (pipe(pipes) < 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0) {
		dup2(pipes[1], fd);
		close(pipes[0]);
		child();
		exit(99);
	}
	close(pipes[1]);
	while (done < sizeof(text) - 1 &&
	       (n = read(pipes[0], text + done, sizeof(text) - 1 - done)) > 0)
		done += (size_t)n;
	text[done] = '\0';
	close(pipes[0]);
	waitpid(pid, status, 0);
	*status = WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
	return text;
}

static void ask_help(void)
{
	take("x --help -z");
}

static void fail_usage(void)
{
	log_setup("memnet try", LOG_NORMAL);
	take("-z");
	exit(command_fail(&inv));
}

static void fail_object(void)
{
	log_setup("memnet try", LOG_NORMAL);
	mn_fail(&inv.error, MN_REFUSED, EBUSY, "web1/out: a\nb");
	exit(command_fail(&inv));
}

static void print_nowhere(void)
{
	if (!freopen("/dev/full", "w", stdout))
		return;
	puts("x");
	fflush(stdout);
	exit(output_finish(MN_OK));
}

static void endings(void)
{
	int status;
	const char *text = output_of(STDOUT_FILENO, ask_help, &status);

	is_int(status, 0, "--help is no failure");
	ok(strstr(text, "usage: memnet try [OPTION…] FILE\n") == text, "and prints the usage");
	ok(strstr(text, "\n  -o, --output FILE ") != NULL, "an option with all it has");
	ok(strstr(text, "\n      --long[=N] ") != NULL, "one with an optional value");
	ok(strstr(text, "\n  -b  ") != NULL, "one without a name");
	ok(strstr(text, "--json") && strstr(text, "--runtime-dir DIR"), "common ones");
	ok(!strstr(text, "--dry-run"), "but those that it does not take");
	text = output_of(STDERR_FILENO, fail_usage, &status);
	is_int(status, MN_USAGE, "usage's own exit status");
	is_str(text, "memnet try: unknown option \"-z\" (see memnet try --help)\n",
	       "and next step");
	text = output_of(STDERR_FILENO, fail_object, &status);
	is_int(status, MN_REFUSED, "the error's exit status");
	is_str(text, "memnet try: web1/out: a?b\n", "on one line");
	text = output_of(STDERR_FILENO, print_nowhere, &status);
	is_int(status, MN_FAILED, "output that was lost before the end is a failure");
	ok(strstr(text, ": standard output: ") != NULL, "and says so");
}

int main(void)
{
	spellings();
	optional_values();
	operands();
	common();
	levels();
	bad();
	counts();
	tables();
	environment();
	endings();
	return done_testing();
}
