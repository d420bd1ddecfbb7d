#include "cmd/command.h"

#include <errno.h>

/* To come: refused rather than pretended. */
static int run(struct invocation *inv)
{
	if (opts_next(inv) == OPTS_END)
		mn_fail(&inv->error, MN_FAILED, ENOSYS, "not in this version of memnet");
	return command_fail(inv);
}

const struct command command_transcode_hook = {
	.name = "transcode-hook",
	.summary = "Run a transcoder into a space, held while the space is full (not yet)",
	.run = run,
};
