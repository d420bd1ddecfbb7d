/* What commands print: of a guest's or QEMU's words, nothing that a terminal would carry out. */
#include "cmd/output.h"

#include "tests/printed.h"
#include "tests/tap.h"

static const struct column columns[] = {
	{"name", "NAME", COLUMN_TEXT},
	{"size", "SIZE", COLUMN_SIZE},
	{NULL, NULL, COLUMN_TEXT},
};

/* What printing one row wrote. */
static const char *row(const struct common *common, const char *name)
{
	cJSON *rows = cJSON_CreateArray(), *only = cJSON_CreateObject();

	cJSON_AddStringToObject(only, "name", name);
	cJSON_AddNumberToObject(only, "size", 1536);
	cJSON_AddItemToArray(rows, only);
	printed_begin();
	output_rows(common, columns, "rows", rows);
	return printed_end();
}

int main(void)
{
	static const char forged[] = "a\n\033[2J\xc2\x9b"
				     "2J\x7f"
				     "caf\xc3\xa9";
	const struct common people = {0}, bare = {.bare = true, .exact = true},
			    json = {.json = true};

	is_str(row(&people, "web1"), "NAME   SIZE\nweb1  1.50K\n", "a table");
	is_str(row(&bare, forged), "a??[2J??2J?caf\xc3\xa9\t1536\n",
	       "no control character, C1 ones neither; other UTF-8 stays");
	is_str(row(&json, "a\n"), "{\"schema\":1,\"rows\":[{\"name\":\"a\\n\",\"size\":1536}]}\n",
	       "JSON says it as it is");
	return done_testing();
}
