/* What commands print: of a guest's or QEMU's words, nothing that a terminal would carry out. */
#include "cmd/output.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/tap.h"

static const struct column columns[] = {
	{"name", "NAME", COLUMN_TEXT},
	{"size", "SIZE", COLUMN_SIZE},
	{NULL, NULL, COLUMN_TEXT},
};

/* What printing one row wrote to stdout. */
static const char *printed(const struct common *common, const char *name)
{
	static char text[4096];
	int pair[2], old = dup(STDOUT_FILENO);
	cJSON *rows = cJSON_CreateArray(), *row = cJSON_CreateObject();
	ssize_t n;

	if (pipe(pair) < 0)
		abort();
	cJSON_AddStringToObject(row, "name", name);
	cJSON_AddNumberToObject(row, "size", 1536);
	cJSON_AddItemToArray(rows, row);
	fflush(stdout);
	dup2(pair[1], STDOUT_FILENO);
	close(pair[1]);
	output_rows(common, columns, "rows", rows);
	fflush(stdout);
	dup2(old, STDOUT_FILENO);
	close(old);
	n = read(pair[0], text, sizeof(text) - 1);
	close(pair[0]);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

int main(void)
{
	static const char forged[] = "a\n\033[2J\xc2\x9b"
				     "2J\x7f"
				     "caf\xc3\xa9";
	const struct common people = {0}, bare = {.bare = true, .exact = true},
			    json = {.json = true};

	is_str(printed(&people, "web1"), "NAME   SIZE\nweb1  1.50K\n", "a table");
	is_str(printed(&bare, forged), "a??[2J??2J?caf\xc3\xa9\t1536\n",
	       "no control character, C1 ones neither; other UTF-8 stays");
	is_str(printed(&json, "a\n"),
	       "{\"schema\":1,\"rows\":[{\"name\":\"a\\n\",\"size\":1536}]}\n",
	       "JSON says it as it is");
	return done_testing();
}
