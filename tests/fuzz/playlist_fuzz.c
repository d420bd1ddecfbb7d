/*
 * The playlist and the query parser against any bytes: up to the first NUL a query, behind it a
 * playlist. What is understood keeps its promises.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/playlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_query(const char *text, size_t size)
{
	int64_t msn;
	const int wanted = playlist_wanted((struct http_text){text, size}, &msn);

	assert(wanted >= -1 && wanted <= 1);
	assert(wanted != 1 || (msn >= 0 && msn < 1000000000000000000));
}

static void check_playlist(const char *text, size_t size)
{
	struct playlist p;

	if (!playlist_parse(text, size, &p))
		return;
	assert(p.first_line >= strlen(PLAYLIST_FIRST_LINE) && p.first_line <= size);
	assert(memcmp(text, "#EXTM3U", 7) == 0 && text[p.first_line - 1] == '\n');
	assert(p.target_s > 0 && p.next >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
	const size_t query = nul ? (size_t)(nul - data) : 0, rest = nul ? size - query - 1 : size;
	char *text = malloc(size + 1); /* each in a buffer of its size, so that a byte more shows */

	memcpy(text, data, query);
	text = realloc(text, query + !query);
	check_query(text, query);
	text = realloc(text, rest + !rest);
	memcpy(text, data + size - rest, rest);
	check_playlist(text, rest);
	free(text);
	return 0;
}
