#include "cmd/command.h"

int complete_main(const struct command *const *table, const struct command *command, char **words)
{
	return table && words && !command ? MN_OK : MN_FAILED;
}
