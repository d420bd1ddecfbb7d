#include "energy/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

static double seconds(uint64_t ticks)
{
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/*
 * The line "cpu", of all CPUs. `guest` and `guest_nice` behind are in `user` and `nice` already;
 * idle and iowait are no work, and steal is another machine's.
 */
static int parse_busy(const char *line, double *busy_s)
{
	uint64_t user, nice, system, idle, iowait, irq, softirq;

	if (sscanf(line,
		   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64,
		   &user, &nice, &system, &idle, &iowait, &irq, &softirq) != 7)
		return -EBADMSG;
	*busy_s = seconds(user + nice + system + irq + softirq);
	return 0;
}

int usage_machine(const char *proc, struct machine_usage *usage)
{
	cleanup_file FILE *f = NULL;
	cleanup_free char *line = NULL;
	char path[512];
	size_t size = 0;

	if (snprintf(path, sizeof(path), "%s/stat", proc) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (getline(&line, &size, f) < 0 || parse_busy(line, &usage->busy_s))
		return -EBADMSG;
	usage->cpus = 0;
	while (getline(&line, &size, f) >= 0 && strncmp(line, "cpu", 3) == 0)
		usage->cpus++;
	return usage->cpus > 0 ? 0 : -EBADMSG;
}

/* The third field follows the name, which is in brackets and may hold any byte, brackets too. */
static int parse_process(const char *stat, struct process_usage *usage)
{
	const char *fields = strrchr(stat, ')');
	uint64_t utime, stime;

	if (!fields || sscanf(fields,
			      ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
			      " %" SCNu64 " %" SCNu64 " %*s %*s %*s %*s %*s %*s %" SCNu64,
			      &utime, &stime, &usage->started) != 3)
		return -EBADMSG;
	usage->cpu_s = seconds(utime + stime);
	return 0;
}

int usage_process(const char *proc, pid_t pid, struct process_usage *usage)
{
	char path[512], stat[1024];
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/%d/stat", proc, (int)pid) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	n = io_read_file(AT_FDCWD, path, stat, sizeof(stat));
	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	return parse_process(stat, usage);
}
