/* memnet compress -l: what zstd files say of themselves. */
#pragma once

#include "cmd/command.h"
#include "guest/inputs.h"

/* Lists them on stdout; -v: more of each, -j: JSON. The exit status. */
int compress_list(struct invocation *inv, const struct inputs *inputs);
