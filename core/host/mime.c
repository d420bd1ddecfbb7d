#include "host/mime.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

static const char fallback[] = "application/octet-stream";

struct type {
	const char *end, *type;
};

/* What players insist on, and what Debian's list has wrong or not at all. Sorted by `end`. */
static const struct type own[] = {
	{"css", "text/css"},
	{"html", "text/html"},
	{"js", "text/javascript"},
	{"json", "application/json"},
	{"log", "text/plain"},
	{"m3u8", "application/vnd.apple.mpegurl"},
	{"m4a", "audio/mp4"},
	{"m4s", "video/iso.segment"},
	{"mkv", "video/x-matroska"},
	{"mp4", "video/mp4"},
	{"mpd", "application/dash+xml"},
	{"ts", "video/mp2t"},
	{"txt", "text/plain"},
	{"vtt", "text/vtt"},
	{"webm", "video/webm"},
	{"xml", "application/xml"},
	{"zst", "application/zstd"},
};

/* The system's, sorted; never freed: the table lives as long as the program. */
static struct type *loaded;
static size_t loaded_count;

static int compare(const void *a, const void *b)
{
	return strcasecmp(((const struct type *)a)->end, ((const struct type *)b)->end);
}

static void load_line(char *line)
{
	char *save = NULL, *type = strtok_r(line, " \t\n", &save), *end;

	if (!type || *type == '#')
		return;
	while ((end = strtok_r(NULL, " \t\n", &save)) != NULL) {
		struct type *grown = realloc(loaded, (loaded_count + 1) * sizeof(*grown));

		if (!grown)
			return;
		loaded = grown;
		loaded[loaded_count].end = strdup(end);
		loaded[loaded_count].type = strdup(type);
		if (!loaded[loaded_count].end || !loaded[loaded_count].type)
			return;
		loaded_count++;
	}
}

void mime_load(const char *file)
{
	cleanup_file FILE *f = fopen(file, "re");
	char line[1024];

	while (f && fgets(line, sizeof(line), f))
		load_line(line);
	if (loaded)
		qsort(loaded, loaded_count, sizeof(*loaded), compare);
}

/* By the name's ending, which lies between `dot` and `end`. */
static const char *lookup(const char *dot, const char *end)
{
	char word[16];
	const struct type key = {word, NULL}, *found;

	if (!dot || end - dot > (ptrdiff_t)sizeof(word))
		return fallback;
	memcpy(word, dot + 1, (size_t)(end - dot - 1));
	word[end - dot - 1] = '\0';
	found = bsearch(&key, own, sizeof(own) / sizeof(*own), sizeof(*own), compare);
	if (!found && loaded)
		found = bsearch(&key, loaded, loaded_count, sizeof(*loaded), compare);
	return found ? found->type : fallback;
}

static const char *last_dot(const char *path, const char *end)
{
	for (const char *p = end; p > path && p[-1] != '/'; p--) {
		if (p[-1] == '.')
			return p - 1;
	}
	return NULL;
}

const char *mime_type(const char *path)
{
	const char *end = path + strlen(path);

	return lookup(last_dot(path, end), end);
}

const char *mime_inner_type(const char *path)
{
	const char *end = last_dot(path, path + strlen(path));

	return end ? lookup(last_dot(path, end), end) : fallback;
}
