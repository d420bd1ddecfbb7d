/* Checks that print TAP, one line each, for prove(1):
 *
 *	int main(void)
 *	{
 *		ok(room > 0, "%zu bytes of room", room);
 *		is_int(space_resize(&space, 0), -EINVAL, "no size is refused");
 *		is_str(record.id, "job-1", "the id survives");
 *		return done_testing();
 *	}
 *
 * Each check returns whether it passed, and what failed says on stderr where it stands and what it
 * got. To be called from one thread. */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A printf-like description follows each check's operands. */
#define ok(cond, ...)		  tap_ok(TAP_HERE, (cond), __VA_ARGS__)
#define is_int(got, want, ...)	  tap_is_int(TAP_HERE, (got), (want), __VA_ARGS__)
#define is_str(got, want, ...)	  tap_is_str(TAP_HERE, (got), (want), __VA_ARGS__)
#define is_mem(got, want, n, ...) tap_is_mem(TAP_HERE, (got), (want), (n), __VA_ARGS__)

#define TAP_HERE      __FILE__, __LINE__
#define TAP_FORMAT(n) __attribute__((format(printf, n, (n) + 1), unused))

static int tap_count, tap_failures;

/* A remark, which prove shows. */
TAP_FORMAT(1) static void diag(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("# ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

static bool tap_result(const char *file, int line, bool pass, const char *format, va_list args)
{
	char what[256];

	vsnprintf(what, sizeof(what), format, args);
	printf("%sok %d - %s\n", pass ? "" : "not ", ++tap_count, what);
	/* Nothing may wait in the buffer when a test forks or crashes. */
	fflush(stdout);
	if (!pass) {
		tap_failures++;
		diag("failed: %s", what);
		diag("  at %s:%d", file, line);
	}
	return pass;
}

/* Report PASS under the description that follows FORMAT in the caller's arguments. */
#define TAP_RESULT(pass)                                                                           \
	__extension__({                                                                            \
		va_list args_;                                                                     \
		va_start(args_, format);                                                           \
		bool pass_ = tap_result(file, line, (pass), format, args_);                        \
		va_end(args_);                                                                     \
		pass_;                                                                             \
	})

TAP_FORMAT(4) static bool tap_ok(const char *file, int line, bool cond, const char *format, ...)
{
	return TAP_RESULT(cond);
}

TAP_FORMAT(5)
static bool tap_is_int(const char *file, int line, intmax_t got, intmax_t want, const char *format,
		       ...)
{
	bool pass = TAP_RESULT(got == want);

	if (!pass)
		diag("  got %" PRIdMAX ", want %" PRIdMAX, got, want);
	return pass;
}

/* NULL equals only NULL. */
TAP_FORMAT(5)
static bool tap_is_str(const char *file, int line, const char *got, const char *want,
		       const char *format, ...)
{
	bool pass = TAP_RESULT(got && want ? strcmp(got, want) == 0 : got == want);

	if (!pass)
		diag("  got \"%s\", want \"%s\"", got ? got : "(null)", want ? want : "(null)");
	return pass;
}

TAP_FORMAT(6)
static bool tap_is_mem(const char *file, int line, const void *got, const void *want, size_t n,
		       const char *format, ...)
{
	const unsigned char *g = got, *w = want;
	size_t i = 0;

	while (i < n && g[i] == w[i])
		i++;
	bool pass = TAP_RESULT(i == n);

	if (!pass)
		diag("  byte %zu of %zu: got 0x%02x, want 0x%02x", i, n, g[i], w[i]);
	return pass;
}

/* Count N checks as passed that cannot be made here, and say why. */
__attribute__((unused)) static void skip(int n, const char *why)
{
	while (n-- > 0)
		printf("ok %d # SKIP %s\n", ++tap_count, why);
	fflush(stdout);
}

/* The plan, which tells prove that the test ran to its end; returns main's exit status. */
__attribute__((unused)) static int done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures != 0;
}

#endif
