#include "cmd/command.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

enum { OPT_CONFIG = 1000, OPT_RUNTIME_DIR };

const struct opt common_opts[] = {
	{'j', "json", NULL, "print JSON", false},
	{'H', NULL, NULL, "print tab-separated fields without a header", false},
	{'p', NULL, NULL, "print exact numbers", false},
	{'q', "quiet", NULL, "print errors only", false},
	{'v', "verbose", NULL, "say more", false},
	{'n', "dry-run", NULL, "say what would be done and change nothing", false},
	{OPT_CONFIG, "config", "FILE", "configuration (/etc/memnet/memnet.conf)", false},
	{OPT_RUNTIME_DIR, "runtime-dir", "DIR", "run-time folder (/run/memnet)", false},
	{'h', "help", NULL, "print this help", false},
	OPT_END,
};

const struct command *command_find(const struct command *const *table, const char *name)
{
	for (; *table; table++) {
		if (strcmp((*table)->name, name) == 0)
			return *table;
	}
	return NULL;
}

const struct command *command_verb(const struct command *command, const char *name)
{
	for (const struct command *v = command->verbs; v && v->name; v++) {
		if (strcmp(v->name, name) == 0)
			return v;
	}
	return NULL;
}

bool command_takes(const struct command *command, const struct opt *o)
{
	return o->key > 255 || strchr("qvh", o->key) ||
	       (command->common && strchr(command->common, o->key));
}

static const char *setting(const char *variable, const char *fallback)
{
	const char *value = getenv(variable);

	return value && *value ? value : fallback;
}

struct common common_defaults(void)
{
	const char *config = setting("MEMNET_CONF", NULL);

	return (struct common){
		.config = config ? config : "/etc/memnet/memnet.conf",
		.config_given = config != NULL,
		.runtime_dir = setting("MEMNET_RUNTIME_DIR", "/run/memnet"),
	};
}

static bool opt_matches(const struct opt *o, char letter, const char *name, size_t len)
{
	if (letter)
		return o->key == letter;
	return name && o->name && strlen(o->name) == len && memcmp(o->name, name, len) == 0;
}

const struct opt *command_opt(const struct command *command, char letter, const char *name,
			      size_t len)
{
	for (const struct opt *o = command->opts; o && o->key; o++) {
		if (opt_matches(o, letter, name, len))
			return o;
	}
	for (const struct opt *o = common_opts; o->key; o++) {
		if (command_takes(command, o) && opt_matches(o, letter, name, len))
			return o;
	}
	return NULL;
}

static bool is_common(const struct opt *o)
{
	return o >= common_opts && o < common_opts + sizeof(common_opts) / sizeof(*common_opts);
}

static void take_common(struct invocation *inv, int key)
{
	struct common *c = &inv->common;

	switch (key) {
	case 'j': c->json = true; break;
	case 'H': c->bare = true; break;
	case 'p': c->exact = true; break;
	case 'q': c->quiet++; break;
	case 'v': c->verbose++; break;
	case 'n': c->dry_run = true; break;
	case OPT_CONFIG:
		c->config = inv->value;
		c->config_given = true;
		break;
	case OPT_RUNTIME_DIR: c->runtime_dir = inv->value; break;
	case 'h': usage_print(inv->command, inv->name, stdout); exit(output_finish(MN_OK));
	default: break;
	}
}

static int opts_bad(struct invocation *inv, const char *what, const char *word, int len)
{
	mn_fail(&inv->error, MN_USAGE, EINVAL, "%s \"%.*s\"", what, len, word);
	return OPTS_BAD;
}

/* "--name", "--name=VALUE", "--name VALUE". */
static int take_long(struct invocation *inv, const struct opt **out)
{
	char *word = *inv->argv++;
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	const struct opt *o = command_opt(inv->command, 0, word + 2, len - 2);

	if (!o)
		return opts_bad(inv, "unknown option", word, (int)len);
	inv->value = equals ? equals + 1 : NULL;
	if (equals && !o->value)
		return opts_bad(inv, "no value is wanted by", word, (int)len);
	if (o->value && !inv->value && !o->optional) {
		if (!*inv->argv)
			return opts_bad(inv, "a value is wanted by", word, (int)len);
		inv->value = *inv->argv++;
	}
	*out = o;
	return 0;
}

static const struct opt *number_opt(const struct command *command)
{
	const struct opt *o = command->opts;

	while (o && o->key && o->key != OPT_NUMBER)
		o++;
	return o && o->key ? o : NULL;
}

/* A number that is an option itself: 19 of "-19v". NULL if the cluster begins with none. */
static const struct opt *take_number(struct invocation *inv)
{
	size_t len = strspn(inv->cluster, "0123456789");
	const struct opt *o = len > 0 ? number_opt(inv->command) : NULL;

	if (!o || len >= sizeof(inv->number) ||
	    (len == 1 && command_opt(inv->command, *inv->cluster, NULL, 0)))
		return NULL;
	memcpy(inv->number, inv->cluster, len);
	inv->number[len] = '\0';
	inv->value = inv->number;
	inv->cluster = inv->cluster[len] ? inv->cluster + len : NULL;
	return o;
}

/* One letter of "-abVALUE" or "-b VALUE". */
static int take_letter(struct invocation *inv, const struct opt **out)
{
	char letter[3] = {'-', '\0', '\0'};
	const struct opt *o = take_number(inv);

	if (o) {
		*out = o;
		return 0;
	}
	letter[1] = *inv->cluster++;
	o = command_opt(inv->command, letter[1], NULL, 0);

	if (*inv->cluster == '\0')
		inv->cluster = NULL;
	if (!o)
		return opts_bad(inv, "unknown option", letter, 2);
	inv->value = NULL;
	if (o->value && !o->optional) {
		if (!inv->cluster && !*inv->argv)
			return opts_bad(inv, "a value is wanted by", letter, 2);
		inv->value = inv->cluster ? inv->cluster : *inv->argv++;
		inv->cluster = NULL;
	}
	*out = o;
	return 0;
}

static void take_rest(struct invocation *inv)
{
	inv->argv++; /* the "--" */
	inv->rest = inv->operands + inv->operand_count;
	while (*inv->argv)
		inv->operands[inv->operand_count++] = *inv->argv++;
}

/* All words are taken: what the common options and the environment said holds from here. */
static int opts_end(struct invocation *inv)
{
	const struct common *c = &inv->common;

	inv->operands[inv->operand_count] = NULL;
	log_setup(inv->name, c->quiet ? LOG_QUIET : c->verbose ? LOG_VERBOSE : LOG_NORMAL);
	if (!c->runtime_dir || c->runtime_dir[0] == '/') /* QEMU's working directory is not ours */
		return OPTS_END;
	return opts_bad(inv, "an absolute path is wanted for the run-time folder, not",
			c->runtime_dir, (int)strlen(c->runtime_dir));
}

int opts_next(struct invocation *inv)
{
	for (;;) {
		const struct opt *o = NULL;
		const char *word = *inv->argv;

		if (inv->cluster) {
			if (take_letter(inv, &o))
				return OPTS_BAD;
		} else if (!word) {
			return opts_end(inv);
		} else if (strcmp(word, "--") == 0) {
			take_rest(inv);
			continue;
		} else if (strncmp(word, "--", 2) == 0) {
			if (take_long(inv, &o))
				return OPTS_BAD;
		} else if (word[0] == '-' && word[1]) {
			inv->cluster = *inv->argv++ + 1;
			continue;
		} else {
			/* Operands move to the front of the same array: never past argv. */
			inv->operands[inv->operand_count++] = *inv->argv++;
			continue;
		}
		if (!is_common(o))
			return o->key;
		take_common(inv, o->key);
	}
}

int opts_operands(struct invocation *inv, int min, int max)
{
	int n = inv->operand_count;

	if (n >= min && (max < 0 || n <= max))
		return 0;
	if (n < min)
		mn_fail(&inv->error, MN_USAGE, EINVAL, "%s wanted", inv->command->operands);
	else
		mn_fail(&inv->error, MN_USAGE, EINVAL, "%s is one too many", inv->operands[max]);
	return OPTS_BAD;
}

int command_fail(const struct invocation *inv)
{
	const struct mn_error *e = &inv->error;
	size_t len = strlen(e->text);
	bool told = strchr(e->text, ':') || (len && e->text[len - 1] == ')');
	bool usage = e->status == MN_USAGE && !told;

	if (usage)
		log_error("%s (see %s --help)", e->text, inv->name);
	else
		log_error("%s", e->text);
	return e->status ? (int)e->status : MN_FAILED;
}

/* Whoever read has seen enough, as head(1) and less(1) have. */
static bool reader_gone(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

int output_finish(int status)
{
	bool lost = ferror(stdout);

	errno = 0;
	if (fflush(stdout) == 0 && !lost)
		return status;
	if (errno == EPIPE || reader_gone())
		return status == MN_OK ? MN_FAILED : status;
	log_error("standard output: %s",
		  errno ? strerror(errno) : "some of it could not be written");
	return status == MN_OK ? MN_FAILED : status;
}

static void usage_option(const struct opt *o, FILE *out)
{
	const char *value = o->key == OPT_NUMBER ? NULL : o->value;
	char left[64], letter[16] = "";

	if (o->key == OPT_NUMBER)
		snprintf(letter, sizeof(letter), "-%s", o->value);
	else if (o->key < 256)
		snprintf(letter, sizeof(letter), "-%c%s", o->key, o->name ? ", " : "");
	snprintf(left, sizeof(left), "%-4s%s%s%s%s%s", letter, o->name ? "--" : "",
		 o->name ? o->name : "", value ? (o->optional ? "[=" : " ") : "",
		 value ? value : "", o->optional ? "]" : "");
	fprintf(out, "  %-28s %s\n", left, o->help);
}

static void usage_verbs(const struct command *command, const char *name, FILE *out)
{
	fprintf(out, "usage: %s VERB [OPTION…]\n\n%s\n\nVerbs:\n", name, command->summary);
	for (const struct command *v = command->verbs; v->name; v++) {
		char left[64];

		snprintf(left, sizeof(left), "%s %s", v->name, v->operands ? v->operands : "");
		fprintf(out, "  %-28s %s\n", left, v->summary);
	}
	fprintf(out, "\nEach verb takes --help.\n");
}

void usage_print(const struct command *command, const char *name, FILE *out)
{
	if (command->verbs) {
		usage_verbs(command, name, out);
		return;
	}
	fprintf(out, "usage: %s [OPTION…]%s%s\n\n%s\n", name, command->operands ? " " : "",
		command->operands ? command->operands : "", command->summary);
	fprintf(out, "\nOptions:\n");
	for (const struct opt *o = command->opts; o && o->key; o++)
		usage_option(o, out);
	for (const struct opt *o = common_opts; o->key; o++) {
		if (command_takes(command, o))
			usage_option(o, out);
	}
}
