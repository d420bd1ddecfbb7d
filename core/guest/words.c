#include "guest/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value whose mark `at` begins with, or NULL. */
static const struct word_value *value_at(const char *at, const struct word_value *values)
{
	for (; values->mark; values++) {
		if (values->value && strncmp(at, values->mark, strlen(values->mark)) == 0)
			return values;
	}
	return NULL;
}

char *word_expand(const char *text, const struct word_value *values)
{
	char *result = NULL;
	size_t size;
	FILE *out = open_memstream(&result, &size);

	if (!out)
		return NULL;
	while (*text) {
		const struct word_value *v = value_at(text, values);

		if (v)
			fputs(v->value, out);
		else
			fputc(*text, out);
		text += v ? strlen(v->mark) : 1;
	}
	if (fclose(out) == 0)
		return result;
	free(result);
	return NULL;
}

void words_free(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

char **words_expand(char *const *words, const struct word_value *values)
{
	size_t count = 0;
	char **result;

	while (words[count])
		count++;
	result = calloc(count + 1, sizeof(*result));
	for (size_t i = 0; result && i < count; i++) {
		result[i] = word_expand(words[i], values);
		if (!result[i]) {
			words_free(result);
			return NULL;
		}
	}
	return result;
}
