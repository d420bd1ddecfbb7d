/* Any bytes as a marker's file name and as an object's path: each is the other's inverse. */
#include "space/live.h"

#include <stdlib.h>
#include <string.h>

#include "space/layout.h"
#include "space/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void from_marker(const char *name)
{
	char path[OBJECT_PATH_MAX + 1], marker[LIVE_MARKER_MAX];

	if (live_object_path(name, path, sizeof(path)))
		return;
	if (!object_path_valid(path) || strstr(path, "/../"))
		abort();
	if (live_marker_path(path, marker) == 0 &&
	    strcmp(marker + strlen(SPACE_LIVE "/"), name) != 0)
		abort();
}

static void from_object(const char *object)
{
	char path[OBJECT_PATH_MAX + 1], marker[LIVE_MARKER_MAX];

	if (!object_path_valid(object) || live_marker_path(object, marker))
		return;
	/* One component of its folder: nothing a guest calls its object leads elsewhere. */
	if (strncmp(marker, SPACE_LIVE "/", strlen(SPACE_LIVE "/")) != 0 ||
	    strchr(marker + strlen(SPACE_LIVE "/"), '/'))
		abort();
	if (live_object_path(marker + strlen(SPACE_LIVE "/"), path, sizeof(path)) ||
	    strcmp(path, object) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct space_name name;

	if (!text)
		return 0;
	from_marker(text);
	from_object(text);
	if (name_parse(text, &name, NULL) == 0 &&
	    (!name_part_valid(name.vm) || !name_part_valid(name.space)))
		abort();
	free(text);
	return 0;
}
