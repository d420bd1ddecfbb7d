/*
 * What a command prints on its standard output, in the forms every command offers: a table for
 * people, fields between tabs (-H), exact numbers (-p), JSON (-j).
 */
#pragma once

#include "base/json.h"
#include "cmd/command.h"

enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_SIZE, /* bytes: 1.50G, or exact with -p */
};

/* `key` is the member of a row, `title` heads the column; the last column has a key of NULL. */
struct column {
	const char *key, *title;
	enum column_kind kind;
};

/*
 * Prints `rows`, an array of objects: as {"schema":1,"NAME":[…]} with every member the rows have,
 * or the columns alone; a member that is null or missing is "-". Deletes `rows`.
 */
void output_rows(const struct common *common, const struct column *columns, const char *name,
		 cJSON *rows);

/*
 * Prints one object: as JSON with "schema":1, or a line "TITLE  value" for each column. Deletes it.
 */
void output_object(const struct common *common, const struct column *columns, cJSON *object);
