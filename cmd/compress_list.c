#include "cmd/compress_list.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/tame.h"
#include "cmd/options.h"
#include "guest/encode.h"
#include "guest/frames.h"
#include "guest/stop.h"

static int read_one(const char *path, struct frames *f, struct mn_error *e)
{
	cleanup_fd int fd = -1;
	struct stat st;
	int err;

	if (strcmp(path, "-") == 0)
		return mn_fail(e, MN_USAGE, ESPIPE, "-l reads files, not standard input");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return mn_fail_errno(e, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return mn_fail(e, MN_FAILED, EINVAL, "%s: is no regular file", path);
	err = frames_read(fd, f);
	return err ? encode_fail(path, err, e) : 0;
}

static double ratio(const struct frames *f)
{
	return f->bytes ? (double)f->content / (double)f->bytes : 0;
}

static const char *check(const struct frames *f)
{
	return !f->checked ? "None" : f->checked == f->frames ? "XXH64" : "some";
}

static void print_name(const char *name)
{
	char line[PATH_MAX];

	snprintf(line, sizeof(line), "%s", name);
	tame(line, '?');
	puts(line);
}

static void print_row(const struct frames *f, const char *name)
{
	char bytes[16], content[16] = "", times[16] = "";

	if (!f->unknown) {
		format_size(f->content, content);
		snprintf(times, sizeof(times), "%.3f", ratio(f));
	}
	printf("%6" PRIu64 "  %5" PRIu64 "  %10s  %12s  %5s  %5s  ", f->frames + f->skippable,
	       f->skippable, format_size(f->bytes, bytes), content, times, check(f));
	print_name(name);
}

static void print_size(const char *what, uint64_t bytes)
{
	char text[16];

	printf("%s: %s (%" PRIu64 " B)\n", what, format_size(bytes, text), bytes);
}

static void print_block(const struct frames *f, const char *name)
{
	print_name(name);
	printf("# Zstandard Frames: %" PRIu64 "\n", f->frames);
	if (f->skippable)
		printf("# Skippable Frames: %" PRIu64 "\n", f->skippable);
	printf("Seekable: %s\n", f->seekable ? "yes" : "no");
	printf("DictID: %" PRIu32 "\n", f->dictionary);
	print_size("Window Size", f->window);
	print_size("Compressed Size", f->bytes);
	if (!f->unknown) {
		print_size("Decompressed Size", f->content);
		printf("Ratio: %.4f\n", ratio(f));
	}
	if (f->checked && f->frames == 1)
		printf("Check: XXH64 %08" PRIx32 "\n\n", f->checksum);
	else
		printf("Check: %s\n\n", check(f));
}

static cJSON *json_row(const struct frames *f, const char *name)
{
	cJSON *row = cJSON_CreateObject();

	json_add_text(row, "file", name);
	cJSON_AddNumberToObject(row, "frames", (double)f->frames);
	cJSON_AddNumberToObject(row, "skippable", (double)f->skippable);
	cJSON_AddNumberToObject(row, "bytes", (double)f->bytes);
	if (f->unknown)
		cJSON_AddNullToObject(row, "content_bytes");
	else
		cJSON_AddNumberToObject(row, "content_bytes", (double)f->content);
	cJSON_AddNumberToObject(row, "window_bytes", (double)f->window);
	cJSON_AddNumberToObject(row, "checksums", (double)f->checked);
	cJSON_AddBoolToObject(row, "seekable", f->seekable);
	return row;
}

static void add(struct frames *total, const struct frames *f)
{
	total->frames += f->frames;
	total->skippable += f->skippable;
	total->bytes += f->bytes;
	total->unknown |= f->unknown || total->content + f->content > INT64_MAX;
	total->content += total->unknown ? 0 : f->content;
	total->checked += f->checked;
}

static void print_one(const struct invocation *inv, const struct frames *f, const char *name,
		      cJSON *rows)
{
	if (inv->common.json)
		cJSON_AddItemToArray(rows, json_row(f, name));
	else if (inv->common.verbose)
		print_block(f, name);
	else
		print_row(f, name);
}

static void print_total(const struct frames *total, size_t files)
{
	char name[32];

	snprintf(name, sizeof(name), "%zu files", files);
	puts("-----------------------------------------------------------------");
	print_row(total, name);
}

static void print_json(cJSON *rows)
{
	cleanup_json cJSON *json = cJSON_CreateObject();

	cJSON_AddNumberToObject(json, "schema", 1);
	cJSON_AddStringToObject(json, "command", "compress");
	cJSON_AddItemToObject(json, "list", rows);
	json_print_line(json);
}

int compress_list(struct invocation *inv, const struct inputs *inputs)
{
	bool table = !inv->common.json && !inv->common.verbose;
	cJSON *rows = inv->common.json ? cJSON_CreateArray() : NULL;
	struct frames total = {0};
	size_t done = 0;
	int first = MN_OK;

	stop_install();
	if (table)
		puts("Frames  Skips  Compressed  Uncompressed  Ratio  Check  Filename");
	for (size_t i = 0; i < inputs->count && !stop_signal(); i++) {
		struct frames f;

		if (read_one(inputs->list[i].path, &f, &inv->error) == 0) {
			add(&total, &f);
			print_one(inv, &f, inputs->list[i].path, rows);
			done++;
			continue;
		}
		first = first ? first : (int)inv->error.status;
		if (inv->common.quiet < 2)
			log_error("%s", inv->error.text);
	}
	if (table && done > 1)
		print_total(&total, done);
	if (inv->common.json)
		print_json(rows);
	if (stop_signal())
		return 128 + stop_signal();
	return first && done ? (int)MN_PARTIAL : first;
}
