/* Any text as a size, a rate, a duration, a number and an address. */
#include "cmd/options.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal says so, in one piece. */
static void judge(int err, const struct mn_error *e)
{
	if (err && (err > 0 || e->status != MN_USAGE || !strstr(e->text, "want ") ||
		    strnlen(e->text, sizeof(e->text)) == sizeof(e->text)))
		abort();
}

/* What was understood can be printed and understood again, to three digits. */
static void print_size(uint64_t bytes)
{
	char buf[16];
	uint64_t back;

	format_size(bytes, buf);
	if (bytes >= 1000ULL << 40)
		return;
	if (parse_size(buf, &back, NULL) ||
	    (back > bytes ? back - bytes : bytes - back) > bytes / 180)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct mn_error e = MN_ERROR_INIT;
	struct listen_address a;
	uint64_t u;
	int64_t n;
	int err;

	if (!text)
		return 0;
	judge(err = parse_size(text, &u, &e), &e);
	if (!err)
		print_size(u);
	judge(err = parse_rate(text, &u, &e), &e);
	if (!err && u == 0)
		abort();
	judge(err = parse_duration(text, &n, &e), &e);
	if (!err && n < 0)
		abort();
	judge(err = parse_number(text, "number", -7, 1000, &n, &e), &e);
	if (!err && (n < -7 || n > 1000))
		abort();
	judge(err = parse_address(text, &a, &e), &e);
	if (!err && (a.addr[0] == '\0' || strnlen(a.addr, sizeof(a.addr)) == sizeof(a.addr)))
		abort();
	free(text);
	return 0;
}
