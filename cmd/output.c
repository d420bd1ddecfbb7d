#include "cmd/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/tame.h"
#include "cmd/options.h"

#define CELL_MAX 320

/* One cell as text; its length is at most CELL_MAX - 1. */
static void format_cell(const struct common *common, const struct column *c, const cJSON *row,
			char cell[CELL_MAX])
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, c->key);
	char size[16];

	if (cJSON_IsString(item))
		snprintf(cell, CELL_MAX, "%s", item->valuestring);
	else if (cJSON_IsBool(item))
		snprintf(cell, CELL_MAX, "%s", cJSON_IsTrue(item) ? "yes" : "no");
	else if (!cJSON_IsNumber(item))
		snprintf(cell, CELL_MAX, "-");
	else if (c->kind == COLUMN_SIZE && !common->exact)
		snprintf(cell, CELL_MAX, "%s", format_size((uint64_t)item->valuedouble, size));
	else
		snprintf(cell, CELL_MAX, "%.0f", item->valuedouble);
	tame(cell, '?');
}

static int cell_width(const struct common *common, const struct column *c, const cJSON *rows)
{
	size_t width = strlen(c->title);
	const cJSON *row;
	char cell[CELL_MAX];

	cJSON_ArrayForEach (row, rows) {
		format_cell(common, c, row, cell);
		if (strlen(cell) > width)
			width = strlen(cell);
	}
	return (int)width;
}

static void print_cell(const struct column *c, const char *text, int width)
{
	bool last = !c[1].key;

	if (c->kind != COLUMN_TEXT)
		printf("%*s", width, text);
	else
		printf("%-*s", last ? 0 : width, text);
	fputs(last ? "\n" : "  ", stdout);
}

#define COLUMNS_MAX 24

static void print_table(const struct common *common, const struct column *columns,
			const cJSON *rows)
{
	int widths[COLUMNS_MAX];
	const cJSON *row;
	char cell[CELL_MAX];

	for (int i = 0; columns[i].key; i++)
		widths[i] = cell_width(common, &columns[i], rows);
	for (int i = 0; columns[i].key; i++)
		print_cell(&columns[i], columns[i].title, widths[i]);
	cJSON_ArrayForEach (row, rows) {
		for (int i = 0; columns[i].key; i++) {
			format_cell(common, &columns[i], row, cell);
			print_cell(&columns[i], cell, widths[i]);
		}
	}
}

static void print_bare(const struct common *common, const struct column *columns, const cJSON *rows)
{
	const cJSON *row;
	char cell[CELL_MAX];

	cJSON_ArrayForEach (row, rows) {
		for (const struct column *c = columns; c->key; c++) {
			format_cell(common, c, row, cell);
			printf("%s%c", cell, c[1].key ? '\t' : '\n');
		}
	}
}

void output_rows(const struct common *common, const struct column *columns, const char *name,
		 cJSON *rows)
{
	cleanup_json cJSON *object = cJSON_CreateObject();

	cJSON_AddNumberToObject(object, "schema", 1);
	cJSON_AddItemToObject(object, name, rows);
	if (common->json)
		json_print_line(object);
	else if (common->bare)
		print_bare(common, columns, rows);
	else if (cJSON_GetArraySize(rows) > 0)
		print_table(common, columns, rows);
}

static void print_lines(const struct common *common, const struct column *columns,
			const cJSON *object)
{
	size_t width = 0;
	char cell[CELL_MAX];

	for (const struct column *c = columns; c->key; c++) {
		if (strlen(c->title) > width)
			width = strlen(c->title);
	}
	for (const struct column *c = columns; c->key; c++) {
		format_cell(common, c, object, cell);
		if (common->bare)
			printf("%s\t%s\n", c->key, cell);
		else
			printf("%-*s  %s\n", (int)width, c->title, cell);
	}
}

void output_object(const struct common *common, const struct column *columns, cJSON *object)
{
	cleanup_json cJSON *owned = object;

	if (common->json) {
		cJSON_AddNumberToObject(owned, "schema", 1);
		/* To the front: an item taken out keeps its name. */
		cJSON_InsertItemInArray(owned, 0, cJSON_DetachItemFromObject(owned, "schema"));
		json_print_line(owned);
	} else {
		print_lines(common, columns, owned);
	}
}
