#include "cmd/command.h"

static int run(struct invocation *inv)
{
	mn_fail(&inv->error, MN_FAILED, 38, "not there yet");
	return command_fail(inv);
}
const struct command command_stream = {.name = "stream", .summary = "x", .run = run};
