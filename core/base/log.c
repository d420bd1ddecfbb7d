#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static const char *log_prefix = "memnet";
static enum log_level log_level = LOG_NORMAL;

void log_setup(const char *prefix, enum log_level level)
{
	log_prefix = prefix;
	log_level = level;
}

bool log_verbose(void)
{
	return log_level >= LOG_VERBOSE;
}

/* One write a line, so that lines of several processes on one terminal or pipe stay whole. */
static void log_line(const char *fmt, va_list args)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s: ", log_prefix);

	if (n < 0 || (size_t)n >= sizeof(line))
		n = 0;
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, args);
	fprintf(stderr, "%s\n", line);
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
