/* Placeholders in a command's words and in names: "{output}", "{}" and the like. */
#pragma once

struct word_value {
	const char *mark;  /* "{}"; NULL ends a list */
	const char *value; /* what takes its place; NULL: the mark stays as it is */
};

/*
 * `text` with every mark replaced, the first of `values` that fits at each place; what was put in
 * is not looked at again. The caller frees. NULL: no memory.
 */
char *word_expand(const char *text, const struct word_value *values);

/* The same for a command's words, NULL-terminated; words_free() frees them and accepts NULL. */
char **words_expand(char *const *words, const struct word_value *values);
void words_free(char **words);
