#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/tame.h"

static char log_prefix[48] = "memnet";
static enum log_level log_level = LOG_NORMAL;

void log_setup(const char *prefix, enum log_level level)
{
	snprintf(log_prefix, sizeof(log_prefix), "%s", prefix);
	log_level = level;
}

bool log_verbose(void)
{
	return log_level >= LOG_VERBOSE;
}

/*
 * One write a line, so that lines of several processes on one terminal or pipe stay whole. Not by
 * stdio: musl's fprintf() writes the line feed by itself.
 */
static void log_line(const char *fmt, va_list args)
{
	char line[1024];
	int n = snprintf(line, sizeof(line) - 1, "%s: ", log_prefix);

	if (n < 0 || (size_t)n >= sizeof(line) - 1)
		n = 0;
	vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, fmt, args);
	tame(line, '?'); /* messages name objects, and a guest names those as it likes */
	strcat(line, "\n");
	(void)io_write_all(STDERR_FILENO, line, strlen(line));
}

#define LOG_DEFINE(name, wanted)                                                                   \
	void name(const char *fmt, ...)                                                            \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		if (!(wanted))                                                                     \
			return;                                                                    \
		va_start(args, fmt);                                                               \
		log_line(fmt, args);                                                               \
		va_end(args);                                                                      \
	}

LOG_DEFINE(log_error, true)
LOG_DEFINE(log_warn, log_level >= LOG_NORMAL)
LOG_DEFINE(log_info, log_level >= LOG_NORMAL)
LOG_DEFINE(log_debug, log_level >= LOG_VERBOSE)
