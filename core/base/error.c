#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Through a copy: `fmt` may well be given the old text. */
static void set_text(struct mn_error *e, const char *fmt, va_list args)
{
	char text[sizeof(e->text)];

	vsnprintf(text, sizeof(text), fmt, args);
	memcpy(e->text, text, sizeof(text));
}

int mn_fail(struct mn_error *e, enum mn_status status, int err, const char *fmt, ...)
{
	va_list args;

	if (!e)
		return -err;
	e->status = status;
	va_start(args, fmt);
	set_text(e, fmt, args);
	va_end(args);
	return -err;
}

int mn_fail_errno(struct mn_error *e, int err, const char *fmt, ...)
{
	va_list args;
	char text[sizeof(e->text)];

	if (!e)
		return -err;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return mn_fail(e, MN_FAILED, err, "%s: %s", text, strerror(err));
}

void mn_error_prefix(struct mn_error *e, const char *fmt, ...)
{
	va_list args;
	char text[sizeof(e->text)], context[sizeof(e->text)];

	if (!e)
		return;
	va_start(args, fmt);
	vsnprintf(context, sizeof(context), fmt, args);
	va_end(args);
	memcpy(text, e->text, sizeof(text));
	if (snprintf(e->text, sizeof(e->text), "%s: %s", context, text) < 0)
		e->text[0] = '\0';
}
