#include "control/host_memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"

#define MB 1e6

void host_memory_init(struct host_memory *m, const char *proc)
{
	*m = (struct host_memory){.proc = proc};
}

static bool read_file(const struct host_memory *m, const char *name, char *buf, size_t size)
{
	char path[256];

	return snprintf(path, sizeof(path), "%s/%s", m->proc, name) < (int)sizeof(path) &&
	       io_read_file(AT_FDCWD, path, buf, size) > 0;
}

/* "NAME   123 kB" */
static bool find_kb(const char *text, const char *name, uint64_t *bytes)
{
	const char *line = strstr(text, name);
	uint64_t kb;

	if (!line || sscanf(line + strlen(name), "%" SCNu64, &kb) != 1 || kb > UINT64_MAX / 1024)
		return false;
	*bytes = kb * 1024;
	return true;
}

static void look_at_memory(struct host_memory *m)
{
	char text[4096];

	m->total_bytes = m->available_bytes = 0;
	if (m->no_memory)
		return;
	if (read_file(m, "meminfo", text, sizeof(text)) &&
	    find_kb(text, "MemTotal:", &m->total_bytes) &&
	    find_kb(text, "MemAvailable:", &m->available_bytes))
		return;
	m->no_memory = true;
	log_debug("%s/meminfo tells nothing: the host's memory is not looked at", m->proc);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=123", in microseconds. */
static bool find_total(const char *text, const char *what, double *seconds)
{
	const char *line = strstr(text, what), *total = line ? strstr(line, "total=") : NULL;
	uint64_t us;

	if (!total || sscanf(total, "total=%" SCNu64, &us) != 1)
		return false;
	*seconds = (double)us / 1e6;
	return true;
}

static void look_at_pressure(struct host_memory *m)
{
	char text[512];

	m->pressure = false;
	if (m->no_pressure)
		return;
	m->pressure = read_file(m, "pressure/memory", text, sizeof(text)) &&
		      find_total(text, "some ", &m->some_s) &&
		      find_total(text, "full ", &m->full_s);
	m->no_pressure = !m->pressure;
	if (m->no_pressure)
		log_debug("no %s/pressure/memory (CONFIG_PSI, psi=1): done without", m->proc);
}

void host_memory_look(struct host_memory *m, uint64_t promised_bytes)
{
	bool scarce;

	look_at_memory(m);
	look_at_pressure(m);
	scarce = m->total_bytes && m->available_bytes < promised_bytes;
	if (scarce && !m->scarce)
		log_warn("the host has %.0f MB of memory left, and its spaces may take %.0f MB "
			 "more: "
			 "lower the budget",
			 (double)m->available_bytes / MB, (double)promised_bytes / MB);
	m->scarce = scarce;
}
