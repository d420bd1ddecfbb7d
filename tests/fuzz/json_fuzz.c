/* Any bytes as JSON, and as a name that must come out as JSON. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Walks as far as a peer may make us: the recursion is bounded by what json_parse() lets through.
 */
static void visit(const cJSON *json, int depth)
{
	const cJSON *item;
	int64_t n;

	if (depth > JSON_DEPTH_MAX + 1)
		abort();
	cJSON_ArrayForEach (item, json) {
		if (item->string) {
			const char *s = json_string(json, item->string);

			if (s && strlen(s) > 1u << 20)
				abort();
			if (json_integer(json, item->string, -5, 5, &n) == 0 && (n < -5 || n > 5))
				abort();
			json_integer(json, item->string, INT64_MIN, INT64_MAX, &n);
			json_true(json, item->string);
		}
		visit(item, depth + 1);
	}
}

static void quote(const char *text)
{
	size_t size = 6 * strlen(text) + 3;
	char *buf = malloc(size);
	int n = buf ? json_quote(text, buf, size) : 0;
	cleanup_json cJSON *json = buf ? json_parse(buf, (size_t)n) : NULL;

	if (!buf)
		return;
	/* \u00XX and \ufffd are the longest a byte becomes, so that it always fits. */
	if (n < 0 || !cJSON_IsString(json))
		abort();
	if (!strstr(buf, "\\ufffd") && strcmp(cJSON_GetStringValue(json), text) != 0)
		abort();
	if (json_quote(text, buf, (size_t)n) >= 0)
		abort();
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_json cJSON *json = json_parse((const char *)data, size);
	char *text = strndup((const char *)data, size);

	if (json)
		visit(json, 0);
	if (text)
		quote(text);
	free(text);
	return 0;
}
