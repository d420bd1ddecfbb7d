/*
 * What tells one state of an object from another, and the conditions that requests put on it.
 * `form` tells apart what is made of an object by the same name: "" for itself.
 */
#pragma once

#include <stdbool.h>

#include "host/http_request.h"
#include "host/object.h"
#include "host/text.h"

/* The request's preconditions (RFC 9110, 13.2.2): 0 to go on, or 304 or 412. */
int validator_check(const struct http_request *r, const struct object *o, const char *form);

/* Whether the Range field counts: If-Range names the object as it is now, or is not there. */
bool validator_range_counts(const struct http_request *r, const struct object *o, const char *form);

/*
 * Last-Modified and ETag, where the object has them. A guest's clock may be ahead: nothing was
 * modified after `now_s`, the response's Date (RFC 9110, 8.8.2.1).
 */
void validator_put(struct text *t, const struct object *o, const char *form, int64_t now_s);
