/*
 * The configuration: INI as in wg(8).
 *
 *	# a comment
 *	[vm web1]
 *	qmp = /run/qemu/web1.qmp
 *
 * The reader knows lines; what a section or a key means is its caller's. A section that is no
 * command's is an error of each, so that a typing error in its name is told at once.
 */
#pragma once

#include "base/error.h"
#include "cmd/command.h"
#include "space/name.h"

/*
 * Calls entry(section, key, value, context, e) for each line "[section]", with NULL for both of the
 * others, and for each "key = value" below it; each string lives until the call returns. An error
 * of `entry` gets "FILE:LINE: " in front. 0, also where the file does not exist and need not; or
 * -errno.
 */
typedef int config_entry(const char *section, const char *key, const char *value, void *context,
			 struct mn_error *e);
int config_read(const struct common *common, config_entry *entry, void *context,
		struct mn_error *e);

/* The section [vm NAME]; "" is what was not said. */
struct vm_config {
	char qmp[512];	 /* as --qmp */
	char qga[512];	 /* as --qga */
	char owner[128]; /* as --owner */
};

/* 0 or -errno; a VM that has no section gets what the file does not say. */
int config_vm(const struct common *common, const char *vm, struct vm_config *config,
	      struct mn_error *e);
