#include "space/name.h"

#include <errno.h>
#include <string.h>

#include "space/layout.h"

#define NAME_WANTED "want letters, digits, '.', '_' and '-', at most 31, a letter or digit first"

static bool alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool part_valid(const char *part, size_t len)
{
	if (len == 0 || len > NAME_PART_MAX || !alphanumeric(part[0]))
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!alphanumeric(part[i]) && !strchr("._-", part[i]))
			return false;
	}
	return true;
}

bool name_part_valid(const char *part)
{
	return part_valid(part, strlen(part));
}

int name_check_vm(const char *vm, struct mn_error *e)
{
	if (name_part_valid(vm))
		return 0;
	return mn_fail(e, MN_USAGE, EINVAL, "bad VM name \"%.64s\": " NAME_WANTED, vm);
}

int name_parse(const char *text, struct space_name *name, struct mn_error *e)
{
	const char *slash = strchr(text, '/');
	size_t vm_len = slash ? (size_t)(slash - text) : 0;

	if (!slash)
		return mn_fail(e, MN_USAGE, EINVAL, "bad space name \"%.64s\": want VM/SPACE",
			       text);
	if (!part_valid(text, vm_len) || !name_part_valid(slash + 1))
		return mn_fail(e, MN_USAGE, EINVAL,
			       "bad space name \"%.64s\": want VM/SPACE; in each part " NAME_WANTED,
			       text);
	memcpy(name->vm, text, vm_len);
	name->vm[vm_len] = '\0';
	strcpy(name->space, slash + 1);
	return 0;
}

static bool component_is(const char *component, size_t len, const char *name)
{
	return len == strlen(name) && memcmp(component, name, len) == 0;
}

static bool component_valid(const char *component, size_t len)
{
	return len > 0 && len <= 255 && !component_is(component, len, ".") &&
	       !component_is(component, len, "..") &&
	       !component_is(component, len, SPACE_RESERVED) &&
	       !component_is(component, len, SPACE_VIRTFS);
}

bool object_path_valid(const char *path)
{
	if (strlen(path) > OBJECT_PATH_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(path, "/");

		if (!component_valid(path, len))
			return false;
		if (path[len] == '\0')
			return true;
		path += len + 1;
	}
}
