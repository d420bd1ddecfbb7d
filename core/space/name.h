/*
 * Names. A space is `VM/SPACE`; an object is named by its path in its space. Both sides read and
 * write these, and nothing else decides what a name may be.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define NAME_PART_MAX 31

struct space_name {
	char vm[NAME_PART_MAX + 1];
	char space[NAME_PART_MAX + 1];
};

/* Whether `part` is [A-Za-z0-9][A-Za-z0-9._-]{0,30}: a VM's name, or a space's. */
bool name_part_valid(const char *part);

/* Checks a VM's name; -EINVAL with MN_USAGE. */
int name_check_vm(const char *vm, struct mn_error *e);

/* Splits "VM/SPACE"; -EINVAL with MN_USAGE. */
int name_parse(const char *text, struct space_name *name, struct mn_error *e);

/*
 * Whether `path` can name an object: relative, at most OBJECT_PATH_MAX bytes, no empty, "." or ".."
 * component, none longer than 255 bytes, none reserved (`.memnet`, and `.virtfs_metadata`, where
 * QEMU keeps modes). Any other byte is allowed: newlines and invalid UTF-8 are the guest's right.
 */
#define OBJECT_PATH_MAX 1023
bool object_path_valid(const char *path);
