#include "cmd/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_HELP = 1000, OPT_CONFIG, OPT_RUNTIME_DIR };

const struct opt common_opts[] = {
	{'j', "json", NULL, "print JSON", false},
	{'H', NULL, NULL, "print tab-separated fields without a header", false},
	{'p', NULL, NULL, "print exact numbers", false},
	{'q', "quiet", NULL, "print errors only", false},
	{'v', "verbose", NULL, "say more", false},
	{'n', "dry-run", NULL, "say what would be done and change nothing", false},
	{OPT_CONFIG, "config", "FILE", "configuration (/etc/memnet/memnet.conf)", false},
	{OPT_RUNTIME_DIR, "runtime-dir", "DIR", "run-time folder (/run/memnet)", false},
	{OPT_HELP, "help", NULL, "print this help", false},
	OPT_END,
};

/* A switch such as --json is known only where it does something. */
static bool taken_by(const struct command *command, const struct opt *o)
{
	return o->key > 255 || o->key == 'q' || o->key == 'v' ||
	       (command->common && strchr(command->common, o->key));
}

static bool opt_matches(const struct opt *o, char letter, const char *name, size_t len)
{
	if (letter)
		return o->key == letter;
	return o->name && strlen(o->name) == len && memcmp(o->name, name, len) == 0;
}

/* By letter, or where that is 0 by name. The command's own come first. */
static const struct opt *find_opt(const struct command *command, char letter, const char *name,
				  size_t len)
{
	for (const struct opt *o = command->opts; o && o->key; o++) {
		if (opt_matches(o, letter, name, len))
			return o;
	}
	for (const struct opt *o = common_opts; o->key; o++) {
		if (taken_by(command, o) && opt_matches(o, letter, name, len))
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
	case OPT_HELP:
		usage_print(inv->command, inv->name);
		exit(fflush(stdout) ? MN_FAILED : MN_OK);
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
	const struct opt *o = find_opt(inv->command, 0, word + 2, len - 2);

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

/* A number that is an option itself: 19 of "-19v". NULL if the cluster begins with none. */
static const struct opt *take_number(struct invocation *inv)
{
	size_t len = strspn(inv->cluster, "0123456789");
	const struct opt *o = NULL;

	if (len > 1 || (len == 1 && !find_opt(inv->command, *inv->cluster, NULL, 0)))
		o = find_opt(inv->command, OPT_NUMBER, NULL, 0);
	if (!o || len >= sizeof(inv->number))
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
	o = letter[1] == OPT_NUMBER ? NULL : find_opt(inv->command, letter[1], NULL, 0);

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

static int take_rest(struct invocation *inv)
{
	inv->argv++; /* the "--" */
	inv->rest = inv->operands + inv->operand_count;
	while (*inv->argv)
		inv->operands[inv->operand_count++] = *inv->argv++;
	inv->operands[inv->operand_count] = NULL;
	return OPTS_END;
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
			inv->operands[inv->operand_count] = NULL;
			return OPTS_END;
		} else if (strcmp(word, "--") == 0) {
			return take_rest(inv);
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
	bool usage = e->status == MN_USAGE && !strchr(e->text, ':');

	if (usage)
		fprintf(stderr, "%s: %s (see %s --help)\n", inv->name, e->text, inv->name);
	else
		fprintf(stderr, "%s: %s\n", inv->name, e->text);
	return e->status ? (int)e->status : MN_FAILED;
}

static void usage_option(const struct opt *o)
{
	const char *value = o->key == OPT_NUMBER ? NULL : o->value;
	char left[64], letter[16] = "";

	if (o->key == OPT_NUMBER)
		snprintf(letter, sizeof(letter), "-%s", o->value);
	else if (o->key < 256)
		snprintf(letter, sizeof(letter), "-%c%s", o->key, o->name ? ", " : "");
	snprintf(left, sizeof(left), "%4s%s%s%s%s%s", letter, o->name ? "--" : "",
		 o->name ? o->name : "", value ? (o->optional ? "[=" : " ") : "",
		 value ? value : "", o->optional ? "]" : "");
	printf("  %-28s %s\n", left, o->help);
}

static void usage_verbs(const struct command *command, const char *name)
{
	printf("usage: %s VERB [OPTION…]\n\n%s\n\nVerbs:\n", name, command->summary);
	for (const struct command *v = command->verbs; v->name; v++) {
		char left[64];

		snprintf(left, sizeof(left), "%s %s", v->name, v->operands ? v->operands : "");
		printf("  %-28s %s\n", left, v->summary);
	}
	printf("\nEach verb takes --help.\n");
}

void usage_print(const struct command *command, const char *name)
{
	if (command->verbs) {
		usage_verbs(command, name);
		return;
	}
	printf("usage: %s [OPTION…]%s%s\n\n%s\n", name, command->operands ? " " : "",
	       command->operands ? command->operands : "", command->summary);
	printf("\nOptions:\n");
	for (const struct opt *o = command->opts; o && o->key; o++)
		usage_option(o);
	for (const struct opt *o = common_opts; o->key; o++) {
		if (taken_by(command, o))
			usage_option(o);
	}
}
