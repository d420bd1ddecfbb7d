#include "space/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

static const char *const kind_names[] = {
	[RECORD_COMPRESS] = "compress",
	[RECORD_TRANSCODE] = "transcode",
};
static const char *const status_names[] = {
	[RECORD_DONE] = "done",
	[RECORD_FAILED] = "failed",
	[RECORD_INTERRUPTED] = "interrupted",
};
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define RECORD_VALUE_MAX (1LL << 53) /* a JSON number holds no more exactly */

/* The end of the text, with what only transcoders say. As snprintf(3). */
static int format_media(const struct record *r, char *buf, size_t size)
{
	if (!r->frames && !r->media_us)
		return snprintf(buf, size, "}\n");
	return snprintf(buf, size,
			",\"frames\":%" PRId64 ",\"media_us\":%" PRId64 ",\"speed_milli\":%" PRId64
			"}\n",
			r->frames, r->media_us, r->speed_milli);
}

int record_format(const struct record *r, char *buf, size_t size)
{
	int n = snprintf(buf, size,
			 "{\"schema\":%d,\"id\":\"%s\",\"kind\":\"%s\",\"status\":\"%s\","
			 "\"arrival_ns\":%" PRId64 ",\"start_ns\":%" PRId64 ",\"end_ns\":%" PRId64
			 ",\"blocked_ns\":%" PRId64 ",\"cpu_ns\":%" PRId64 ",\"bytes_in\":%" PRId64
			 ",\"bytes_out\":%" PRId64 ",\"objects\":%" PRId64,
			 RECORD_SCHEMA, r->id, kind_names[r->kind], status_names[r->status],
			 r->arrival_ns, r->start_ns, r->end_ns, r->blocked_ns, r->cpu_ns,
			 r->bytes_in, r->bytes_out, r->objects);

	if (n < 0 || (size_t)n >= size)
		return -ENOSPC;
	n += format_media(r, buf + n, size - (size_t)n);
	return (size_t)n >= size ? -ENOSPC : n;
}

static int name_index(const char *name, const char *const names[], size_t count)
{
	for (size_t i = 0; name && i < count; i++) {
		if (strcmp(name, names[i]) == 0)
			return (int)i;
	}
	return -1;
}

static int parse_id(const char *id, struct record *r)
{
	static const char allowed[] = "0123456789-abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (!id || !*id || strlen(id) > RECORD_ID_MAX || id[strspn(id, allowed)] != '\0')
		return -EINVAL;
	strcpy(r->id, id);
	return 0;
}

static int parse_numbers(const cJSON *json, struct record *r)
{
	const struct {
		const char *name;
		int64_t *value;
		bool optional;
	} members[] = {
		{"arrival_ns", &r->arrival_ns, false},	{"start_ns", &r->start_ns, false},
		{"end_ns", &r->end_ns, false},		{"blocked_ns", &r->blocked_ns, false},
		{"cpu_ns", &r->cpu_ns, false},		{"bytes_in", &r->bytes_in, false},
		{"bytes_out", &r->bytes_out, false},	{"objects", &r->objects, false},
		{"frames", &r->frames, true},		{"media_us", &r->media_us, true},
		{"speed_milli", &r->speed_milli, true},
	};

	for (size_t i = 0; i < COUNT(members); i++) {
		if (members[i].optional && !cJSON_GetObjectItemCaseSensitive(json, members[i].name))
			continue;
		if (json_integer(json, members[i].name, 0, RECORD_VALUE_MAX, members[i].value))
			return -EINVAL;
	}
	return 0;
}

static bool times_in_order(const struct record *r)
{
	return r->arrival_ns <= r->start_ns && r->start_ns <= r->end_ns &&
	       r->blocked_ns <= r->end_ns - r->start_ns;
}

int record_parse(const char *text, size_t size, struct record *r)
{
	cleanup_json cJSON *json = size <= RECORD_MAX ? json_parse(text, size) : NULL;
	int64_t schema;
	int kind, status;

	if (!cJSON_IsObject(json) || json_integer(json, "schema", 1, RECORD_SCHEMA, &schema))
		return -EINVAL;
	kind = name_index(json_string(json, "kind"), kind_names, COUNT(kind_names));
	status = name_index(json_string(json, "status"), status_names, COUNT(status_names));
	if (kind < 0 || status < 0)
		return -EINVAL;
	memset(r, 0, sizeof(*r));
	r->kind = (enum record_kind)kind;
	r->status = (enum record_status)status;
	if (parse_id(json_string(json, "id"), r) || parse_numbers(json, r) || !times_in_order(r))
		return -EINVAL;
	return 0;
}
