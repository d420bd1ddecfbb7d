/* Placeholders: each is replaced wherever it stands, and what took its place is left alone. */
#include "guest/words.h"

#include <stdlib.h>

#include "tests/tap.h"

static const struct word_value values[] = {
	{"{output}", "/tmp/x"}, {"{}", "a {} b"}, {"{.}", ""}, {"{none}", NULL}, {NULL, NULL},
};

static void expands(const char *text, const char *want)
{
	char *got = word_expand(text, values);

	is_str(got, want, "%s", text);
	free(got);
}

static void whole_commands(void)
{
	char *const words[] = {(char *)"cp", (char *)"{}", (char *)"{output}/", NULL};
	char **got = words_expand(words, values);

	ok(got && !got[3], "as many words as there were");
	is_str(got[0], "cp", "one without a mark");
	is_str(got[1], "a {} b", "one word stays one word");
	is_str(got[2], "/tmp/x/", "a part of a word");
	words_free(got);
	words_free(NULL);
}

int main(void)
{
	expands("", "");
	expands("plain", "plain");
	expands("{output}", "/tmp/x");
	expands("x={output}/a,y={output}/b", "x=/tmp/x/a,y=/tmp/x/b");
	expands("{}{}", "a {} ba {} b");
	expands("[{.}]", "[]");
	expands("{none}", "{none}");
	expands("{output", "{output");
	expands("{{}}", "{a {} b}");
	whole_commands();
	return done_testing();
}
