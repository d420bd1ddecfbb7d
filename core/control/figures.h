/*
 * The loop's figures as OpenMetrics text, for Prometheus and for node_exporter's textfile
 * collector. Names and labels do not change between versions; `space` is "VM/SPACE" as in memnet
 * stream's.
 */
#pragma once

#include <stddef.h>

struct tuner;

/* Room for the text of so many spaces. */
#define FIGURES_ROOM(nspaces) (24576 + 8192 * (nspaces))

/* Its size, or -ENOSPC. */
int figures_format(const struct tuner *tuner, char *buf, size_t size);

/* Makes the text the file `path`, which appears whole. 0 or -errno. */
int figures_write(const struct tuner *tuner, char *buf, size_t size, const char *path);
