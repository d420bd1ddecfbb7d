#include "space/mountinfo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "space/tmpfs.h"

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

void mountinfo_unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) &&
		    is_octal(from[3])) {
			*to = (char)strtol((char[]){from[1], from[2], from[3], 0}, NULL, 8);
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

static int parse(char *line, struct mountinfo *m)
{
	char *fields[6], *save = NULL, *word = strtok_r(line, " ", &save);

	for (int i = 0; i < 6; i++, word = strtok_r(NULL, " ", &save)) {
		if (!word)
			return -EINVAL;
		fields[i] = word;
	}
	while (word && strcmp(word, "-") != 0)
		word = strtok_r(NULL, " ", &save);
	m->type = strtok_r(NULL, " ", &save);
	m->source = strtok_r(NULL, " ", &save);
	m->options = strtok_r(NULL, " \n", &save);
	if (!m->options || sscanf(fields[2], "%u:%u", &m->major, &m->minor) != 2)
		return -EINVAL;
	m->path = fields[4];
	mountinfo_unescape(m->path);
	return 0;
}

int mountinfo_each(int (*fn)(struct mountinfo *, void *), void *context)
{
	char buf[16384]; /* musl's own would cost a call for each kilobyte */
	cleanup_file FILE *f = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	size_t size = 0;
	int err = 0;

	if (!f)
		return -errno;
	setvbuf(f, buf, _IOFBF, sizeof(buf));
	while (!err && getline(&line, &size, f) > 0) {
		struct mountinfo m;

		if (parse(line, &m) == 0)
			err = fn(&m, context);
	}
	/* A list cut short would say of what is mounted that it is not. */
	return err || feof(f) ? err : -EIO;
}

bool mountinfo_is_ours(const struct mountinfo *m)
{
	return strcmp(m->type, "tmpfs") == 0 && strcmp(m->source, TMPFS_SOURCE) == 0;
}
