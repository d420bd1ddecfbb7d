/* Any bytes as an answer with a stream's figures: what is taken lies within what was received. */
#include "control/scrape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
	const char *start, *end;
};

static void take(void *cookie, const char *name, const char *space, uint64_t value)
{
	const struct text *t = cookie;

	if (name < t->start || name + strlen(name) > t->end || space < t->start ||
	    space + strlen(space) > t->end || value > INT64_MAX)
		abort();
}

static void parse(char *text, const char *end)
{
	struct text t = {text, end};

	scrape_parse(text, take, &t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1), *body = NULL;
	int err;

	if (!copy)
		abort();
	memcpy(copy, data, size);
	copy[size] = '\0';
	err = scrape_body(copy, size, &body);
	if (!err && (body < copy || body > copy + size))
		abort();
	if (err && err != -EAGAIN && err != -EPROTO)
		abort();
	parse(err ? copy : body, copy + size);
	free(copy);
	return 0;
}
