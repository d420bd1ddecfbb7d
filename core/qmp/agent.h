/*
 * What the guest agent does for us in the guest: read a small file, run a program. It is the
 * guest's own, so that everything it says is the guest's word and nothing more.
 */
#pragma once

#include <stddef.h>

#include "qmp/qmp.h"

/* Reads at most size - 1 bytes of a file, a NUL behind. Their number, or -errno as qmp_call(). */
int agent_read_file(struct qmp *agent, const char *path, char *buf, size_t size,
		    struct mn_error *e);

/*
 * Runs `words` (NULL-terminated; no shell) to its end. Its exit status, 128 and the signal's number
 * where one ended it, or -errno. The start of what it wrote on its standard error goes to `said`,
 * on one line.
 */
int agent_run(struct qmp *agent, const char *const words[], char *said, size_t size,
	      struct mn_error *e);
