/*
 * Messages on stderr, one line each, `memnet stream: …`: those of the long-running commands, and
 * the one an error ends with. Control characters, which a guest may have put into a name, come out
 * as '?'. The prefix and the level are the only global state there is.
 */
#pragma once

#include <stdbool.h>

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE };

/* `prefix` ("memnet stream") is copied. */
void log_setup(const char *prefix, enum log_level level);
bool log_verbose(void);

#define LOG_PRINTF __attribute__((format(printf, 1, 2)))
void log_error(const char *fmt, ...) LOG_PRINTF; /* always */
void log_warn(const char *fmt, ...) LOG_PRINTF;	 /* unless quiet */
void log_info(const char *fmt, ...) LOG_PRINTF;	 /* unless quiet */
void log_debug(const char *fmt, ...) LOG_PRINTF; /* when verbose */
