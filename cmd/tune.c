#include "cmd/command.h"

#include <errno.h>

/* To come: refused rather than pretended. */
static int run(struct invocation *inv)
{
	if (opts_next(inv) == OPTS_END)
		mn_fail(&inv->error, MN_FAILED, ENOSYS, "not in this version of memnet");
	return command_fail(inv);
}

const struct command command_tune = {
	.name = "tune",
	.summary = "Size the spaces of running VMs by what their jobs need (not yet)",
	.run = run,
};
