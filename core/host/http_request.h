/*
 * The head of an HTTP/1 request (RFC 9112), from a peer that may be anyone.
 *
 * Strict where servers that disagree can be played against each other: a white space before a
 * colon, a folded line, NUL and other control characters, two lengths, a length beside a transfer
 * coding, a second Host are all refused with 400. A bare LF ends a line as it does for nginx, a
 * bare CR does not. No request with a body is taken at all, so there is nothing to disagree about
 * where the next one begins.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_MAX 8192
#define HTTP_PATH_MAX 1152 /* decoded, with a NUL: a space's name and an object's */

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_OPTIONS, HTTP_OTHER };

/* A field's value: `size` bytes without the white space around them; absent: NULL. */
struct http_text {
	const char *at;
	size_t size;
};

struct http_request {
	enum http_method method;
	int minor;		      /* of HTTP/1.x: 0, or 1 for any other */
	bool close;		      /* the connection ends with this request */
	struct http_text line, query; /* the request line, for the log; behind the '?' */
	struct http_text range, if_range, if_none_match, if_match;
	struct http_text if_modified_since, if_unmodified_since;
	struct http_text accept, accept_encoding, user_agent, referer; /* the first */
	size_t path_size;
	char path[HTTP_PATH_MAX]; /* decoded, begins with '/', no "." nor ".." component */
};

/*
 * Looks for the end of a head in `size` bytes, of which the first *scanned were looked at before.
 * The head's length with the empty line that ends it, or 0: more is wanted, *scanned moved on.
 */
size_t http_head_size(const char *head, size_t size, size_t *scanned);

/*
 * Takes a head apart; http_head_size() gave its `size`. *r points into the
 * head. 0, or the status to refuse it with (400, 405, 413, 414, 501, 505); what was learnt by then
 * is in *r. The connection is to be closed after any but 405.
 */
int http_request_parse(const char *head, size_t size, struct http_request *r);

/* Whether a comma-separated list holds the token, ignoring case; parameters are not looked at. */
bool http_list_has(struct http_text list, const char *token);

/* Whether an Accept or Accept-Encoding list holds the token with a quality that is not zero. */
bool http_accepts(struct http_text list, const char *token);
