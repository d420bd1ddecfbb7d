#include "cmd/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static char *trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return text;
}

/* A comment takes a line of its own, or white space before its '#': values may hold one. */
static void cut_comment(char *line)
{
	for (char *c = line; *c; c++) {
		if (*c == '#' && (c == line || isspace((unsigned char)c[-1]))) {
			*c = '\0';
			return;
		}
	}
}

struct reader {
	char section[128];
	config_entry *entry;
	void *context;
};

static bool is_section(const char *text)
{
	static const char *const words[] = {"tune", "energy", "vm ", "vm\t", "space ", "space\t"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t len = strlen(words[i]);

		if (strncmp(text, words[i], len) == 0 && (i > 1 || !text[len]))
			return true;
	}
	return false;
}

static int read_section(struct reader *r, char *line, struct mn_error *e)
{
	size_t len = strlen(line);

	if (line[len - 1] != ']' || len - 2 >= sizeof(r->section))
		return mn_fail(e, MN_USAGE, EINVAL, "bad section \"%.64s\": want [NAME]", line);
	line[len - 1] = '\0';
	strcpy(r->section, trim(line + 1));
	if (!is_section(r->section))
		return mn_fail(e, MN_USAGE, EINVAL,
			       "unknown section [%.64s]: there are [tune], [space VM/SPACE], "
			       "[vm NAME] and [energy]",
			       r->section);
	return r->entry(r->section, NULL, NULL, r->context, e);
}

static int read_line(struct reader *r, char *line, struct mn_error *e)
{
	char *equals;

	cut_comment(line);
	line = trim(line);
	if (!*line)
		return 0;
	if (*line == '[')
		return read_section(r, line, e);
	equals = strchr(line, '=');
	if (!equals || equals == line)
		return mn_fail(e, MN_USAGE, EINVAL, "bad line \"%.64s\": want KEY = VALUE", line);
	*equals = '\0';
	if (!r->section[0])
		return mn_fail(e, MN_USAGE, EINVAL, "\"%.64s\" stands before any [SECTION]",
			       trim(line));
	return r->entry(r->section, trim(line), trim(equals + 1), r->context, e);
}

int config_read(const struct common *common, config_entry *entry, void *context, struct mn_error *e)
{
	cleanup_file FILE *f = fopen(common->config, "re");
	cleanup_free char *line = NULL;
	struct reader r = {.entry = entry, .context = context};
	size_t size = 0;
	int number = 0;

	if (!f) {
		if (errno == ENOENT && !common->config_given)
			return 0;
		return mn_fail_errno(e, errno, "%s", common->config);
	}
	while (getline(&line, &size, f) >= 0) {
		int err = read_line(&r, line, e);

		number++;
		if (err) {
			mn_error_prefix(e, "%s:%d", common->config, number);
			return err;
		}
	}
	return ferror(f) ? mn_fail_errno(e, errno, "%s", common->config) : 0;
}

struct vm_reader {
	const char *vm;
	struct vm_config *config;
};

static int take_string(char *to, size_t size, const char *value, struct mn_error *e)
{
	if (strlen(value) >= size)
		return mn_fail(e, MN_USAGE, EINVAL, "\"%.64s…\" is longer than %zu bytes", value,
			       size - 1);
	strcpy(to, value);
	return 0;
}

static int take_vm_key(struct vm_config *c, const char *key, const char *value, struct mn_error *e)
{
	if (strcmp(key, "qmp") == 0)
		return take_string(c->qmp, sizeof(c->qmp), value, e);
	if (strcmp(key, "qga") == 0)
		return take_string(c->qga, sizeof(c->qga), value, e);
	if (strcmp(key, "owner") == 0)
		return take_string(c->owner, sizeof(c->owner), value, e);
	return mn_fail(e, MN_USAGE, EINVAL,
		       "unknown key \"%.64s\": [vm NAME] has qmp, qga and owner", key);
}

/* Other sections are other commands'. */
static int take_vm_entry(const char *section, const char *key, const char *value, void *context,
			 struct mn_error *e)
{
	struct vm_reader *r = context;
	struct vm_config other = {0};
	const char *name;

	if (strncmp(section, "vm", 2) != 0 || !isspace((unsigned char)section[2]))
		return 0;
	name = section + 2 + strspn(section + 2, " \t");
	if (name_check_vm(name, e))
		return -EINVAL;
	if (!key)
		return 0;
	return take_vm_key(strcmp(name, r->vm) == 0 ? r->config : &other, key, value, e);
}

int config_vm(const struct common *common, const char *vm, struct vm_config *config,
	      struct mn_error *e)
{
	struct vm_reader r = {.vm = vm, .config = config};

	*config = (struct vm_config){0};
	return config_read(common, take_vm_entry, &r, e);
}
