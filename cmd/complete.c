/*
 * Completion, from the very tables that parse the words.
 *
 * The words in front of the last one are walked as opts_next() would walk them, but forgivingly and
 * without acting on any, to learn what the last one is: an option, the value of one, or which
 * operand. What fits there is told by a placeholder of the usage, a value's or an operand's:
 * alternatives separated by '|', each a word to type ("q35") or, in capitals, a kind of thing
 * ("VM/SPACE"), an ellipsis where it may be repeated, brackets where it may be left out.
 */
#include "cmd/command.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "space/name.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Folders are read no further than this: a list that long helps nobody, and a shell waits for it.
 */
#define ENTRIES_MAX 1024

struct completion {
	const struct command *command;
	const char *runtime_dir;
	const struct opt *pending; /* whose value the next word is */
	bool ended;		   /* by "--" */
	int operands;
	int rest; /* operands behind "--" */
	const char *word;
	int typed; /* how much of the word precedes the value: "--name=" */
	FILE *out;
	int entries; /* that may still be read from folders */
};

static void candidate(struct completion *c, const char *text, int len, const char *help)
{
	const char *value = c->word + c->typed;
	size_t begun = strlen(value);

	if (begun > (size_t)len || memcmp(text, value, begun) != 0)
		return;
	fprintf(c->out, "%.*s%.*s", c->typed, c->word, len, text);
	if (help)
		fprintf(c->out, "\t%s", help);
	fputc('\n', c->out);
}

static void whole_candidate(struct completion *c, const char *text, const char *help)
{
	candidate(c, text, (int)strlen(text), help);
}

static bool is_folder(int dirfd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

typedef void on_name(struct completion *c, int dirfd, const char *vm, const char *name);

/* Calls `on` for each folder in folder `path` that has the name of a VM or a space. */
static void each_name(struct completion *c, int dirfd, const char *path, const char *vm,
		      on_name *on)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (vm ? O_NOFOLLOW : 0);
	cleanup_fd int fd = path ? openat(dirfd, path, flags) : -1;
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int pool = fd;

	if (!dir)
		return;
	fd = -1; /* it is the DIR's now */
	while (c->entries-- > 0 && (entry = readdir(dir)) != NULL) {
		if (name_part_valid(entry->d_name) && is_folder(pool, entry))
			on(c, pool, vm, entry->d_name);
	}
}

static void vm_candidate(struct completion *c, int dirfd, const char *vm, const char *name)
{
	(void)dirfd, (void)vm;
	whole_candidate(c, name, "VM");
}

static void space_candidate(struct completion *c, int dirfd, const char *vm, const char *name)
{
	char text[2 * NAME_PART_MAX + 2];

	(void)dirfd;
	snprintf(text, sizeof(text), "%s/%s", vm, name);
	whole_candidate(c, text, "space");
}

static void vm_spaces(struct completion *c, int dirfd, const char *vm, const char *name)
{
	(void)vm;
	each_name(c, dirfd, name, name, space_candidate);
}

static void complete_vm(struct completion *c)
{
	each_name(c, AT_FDCWD, c->runtime_dir, NULL, vm_candidate);
}

static void complete_space(struct completion *c)
{
	each_name(c, AT_FDCWD, c->runtime_dir, NULL, vm_spaces);
}

static void complete_file(struct completion *c)
{
	fputs(":file\n", c->out);
}

static void complete_dir(struct completion *c)
{
	fputs(":dir\n", c->out);
}

static void complete_command(struct completion *c)
{
	fputs(c->rest ? ":file\n" : ":command\n", c->out);
}

static bool is_kind(const char *text, size_t len, const char *kind)
{
	return len == strlen(kind) && memcmp(text, kind, len) == 0;
}

/* One alternative of a placeholder. */
static void complete_alternative(struct completion *c, const char *text, size_t len,
				 const char *help)
{
	static const struct {
		const char *kind;
		void (*complete)(struct completion *c);
	} kinds[] = {{"VM", complete_vm},     {"VM/SPACE", complete_space},
		     {"FILE", complete_file}, {"PATH", complete_file},
		     {"DIR", complete_dir},   {"COMMAND", complete_command}};
	size_t literal = 0;

	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (is_kind(text, len, kinds[i].kind)) {
			kinds[i].complete(c);
			return;
		}
	}
	/* "ttl:DUR" is typed as far as "ttl:"; a number is for the admin to think of. */
	while (literal < len && !isupper((unsigned char)text[literal]))
		literal++;
	if (literal > 0 && isalnum((unsigned char)text[0]))
		candidate(c, text, (int)literal, help);
}

/* A placeholder, or one word of the operands; what brackets and ellipses enclose or follow is not
 * for completion. */
static void complete_placeholder(struct completion *c, const char *text, size_t len,
				 const char *help)
{
	size_t from = text[0] == '[';

	while (from < len) {
		size_t end = from + strcspn(text + from, "| ");
		size_t used = strcspn(text + from, "|[],. \xe2"); /* the ellipsis begins so */

		end = end < len ? end : len;
		used = from + used < end ? used : end - from;
		complete_alternative(c, text + from, used, help);
		from = end + 1;
	}
}

/* The words of "VM/SPACE [DIR] -- COMMAND…" apart: the index-th before "--", or behind it. */
static const char *operand_placeholder(const char *operands, int index, bool behind, size_t *len)
{
	const char *dashes = operands ? strstr(operands, "-- ") : NULL;
	const char *last = NULL;

	if (behind && dashes)
		operands = dashes + 3;
	while (operands && *operands && (behind || operands != dashes)) {
		*len = strcspn(operands, " ");
		last = operands;
		if (index-- == 0)
			return last;
		operands += *len + (operands[*len] == ' ');
	}
	/* The last again, where it says so. */
	return last && memmem(last, *len, "…", strlen("…")) ? last : NULL;
}

static void complete_operand(struct completion *c)
{
	const char *operands = c->command->operands;
	bool behind = c->ended && operands && strstr(operands, "-- ");
	size_t len;
	const char *text =
		operand_placeholder(operands, behind ? c->rest : c->operands, behind, &len);

	if (text)
		complete_placeholder(c, text, len, NULL);
}

static void complete_value(struct completion *c, const struct opt *o)
{
	complete_placeholder(c, o->value, strlen(o->value), o->help);
}

static void option_candidate(struct completion *c, const struct opt *o)
{
	char text[64];

	if (o->key == OPT_NUMBER)
		return;
	if (o->name)
		snprintf(text, sizeof(text), "--%s", o->name);
	else
		snprintf(text, sizeof(text), "-%c", o->key);
	whole_candidate(c, text, o->help);
}

static void complete_option(struct completion *c)
{
	for (const struct opt *o = c->command->opts; o && o->key; o++)
		option_candidate(c, o);
	for (const struct opt *o = common_opts; o->key; o++) {
		if (command_takes(c->command, o))
			option_candidate(c, o);
	}
}

static bool wants_value(const struct opt *o)
{
	return o && o->value && !o->optional;
}

/* The option whose value begins at `*value`, in "--name=VALUE". */
static const struct opt *long_option(struct completion *c, const char *word, const char **value)
{
	size_t len = strcspn(word, "=");
	const struct opt *o = command_opt(c->command, 0, word + 2, len - 2);

	*value = word[len] && o && o->value ? word + len + 1 : NULL;
	return o;
}

/* The last option of "-abc" if its value is the next word. */
static const struct opt *pending_letter(struct completion *c, const char *letters)
{
	for (; *letters; letters++) {
		const struct opt *o = command_opt(c->command, *letters, NULL, 0);

		if (wants_value(o))
			return letters[1] ? NULL : o;
	}
	return NULL;
}

static void take_value(struct completion *c, const struct opt *o, const char *value)
{
	if (value && o->name && strcmp(o->name, "runtime-dir") == 0)
		c->runtime_dir = value;
}

/* A word in front of the last one. */
static void walk(struct completion *c, const char *word)
{
	const struct opt *pending = c->pending;
	const char *value;

	c->pending = NULL;
	if (pending) {
		take_value(c, pending, word);
	} else if (c->ended) {
		c->operands++;
		c->rest++;
	} else if (strcmp(word, "--") == 0) {
		c->ended = true;
	} else if (strncmp(word, "--", 2) == 0) {
		const struct opt *o = long_option(c, word, &value);

		if (value)
			take_value(c, o, value);
		else if (wants_value(o) && !strchr(word, '='))
			c->pending = o;
	} else if (word[0] == '-' && word[1]) {
		c->pending = pending_letter(c, word + 1);
	} else {
		c->operands++;
	}
}

static void complete_last(struct completion *c)
{
	const char *value = NULL;
	const struct opt *o;

	if (c->pending) {
		complete_value(c, c->pending);
	} else if (c->ended || c->word[0] != '-') {
		complete_operand(c);
	} else if (strchr(c->word, '=')) {
		o = strncmp(c->word, "--", 2) == 0 ? long_option(c, c->word, &value) : NULL;
		if (value) {
			c->typed = (int)(value - c->word);
			complete_value(c, o);
		}
	} else {
		complete_option(c);
	}
}

/* The name of a command or verb, or the few options that stand in its place. */
static void complete_command_name(struct completion *c, const struct command *const *table)
{
	for (; *table; table++)
		whole_candidate(c, (*table)->name, (*table)->summary);
	if (c->word[0] != '-')
		return;
	whole_candidate(c, "--help", "print this help");
	whole_candidate(c, "--version", "print the versions of memnet and of what it is built of");
	whole_candidate(c, "--list-commands", "print the commands, one a line");
}

static void complete_verb_name(struct completion *c)
{
	for (const struct command *v = c->command->verbs; v->name; v++)
		whole_candidate(c, v->name, v->summary);
	if (c->word[0] == '-')
		whole_candidate(c, "--help", "print this help");
}

/* Finds the command and its verb, then what the last of the words is. */
static void complete_words(struct completion *c, const struct command *const *table, char **words)
{
	if (!c->command && words[0]) {
		if (!words[1]) {
			c->word = words[0];
			complete_command_name(c, table);
			return;
		}
		c->command = command_find(table, *words++);
	}
	if (c->command && c->command->verbs && words[0]) {
		if (!words[1]) {
			c->word = words[0];
			complete_verb_name(c);
			return;
		}
		c->command = command_verb(c->command, *words++);
	}
	if (!c->command || !words[0])
		return;
	for (; words[1]; words++)
		walk(c, words[0]);
	c->word = words[0];
	complete_last(c);
}

static void give_up(int signal_number)
{
	(void)signal_number;
	_exit(MN_OK);
}

int complete_main(const struct command *const *table, const struct command *command, char **words)
{
	struct completion c = {.command = command,
			       .runtime_dir = common_defaults().runtime_dir,
			       .entries = ENTRIES_MAX};
	cleanup_free char *text = NULL;
	size_t size = 0;

	/* A run-time folder on a file system that does not answer must not take the shell along. */
	signal(SIGALRM, give_up);
	alarm(2);
	c.out = open_memstream(&text, &size);
	if (!c.out)
		return MN_OK;
	complete_words(&c, table, words);
	if (fclose(c.out) == 0)
		(void)io_write_all(STDOUT_FILENO, text, size);
	alarm(0);
	return MN_OK;
}
