#include "cmd/command.h"

int complete_main(char **words)
{
	return words ? MN_OK : MN_FAILED;
}
