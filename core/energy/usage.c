#include "energy/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

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

int usage_open(const char *proc, pid_t pid)
{
	char path[512];
	int fd, len;

	if (pid)
		len = snprintf(path, sizeof(path), "%s/%d/stat", proc, (int)pid);
	else
		len = snprintf(path, sizeof(path), "%s/stat", proc);
	if (len >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return pid && errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

/* The file's beginning as a string. 0 or -errno. */
static int read_start(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

int usage_machine(int fd, double *busy_s)
{
	char stat[512];
	int err = read_start(fd, stat, sizeof(stat));

	return err ? err : parse_busy(stat, busy_s);
}

int usage_cpus(const char *proc)
{
	int fd = usage_open(proc, 0), cpus = -1; /* the first line is of all */
	cleanup_file FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	cleanup_free char *line = NULL;
	size_t size = 0;

	if (!f) {
		cleanup_close(&fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	while (getline(&line, &size, f) >= 0 && strncmp(line, "cpu", 3) == 0)
		cpus++;
	return cpus > 0 ? cpus : -EBADMSG;
}

/* The third field follows the name, which is in brackets and may hold any byte, brackets too. */
static int parse_process(const char *stat, double *cpu_s)
{
	const char *fields = strrchr(stat, ')');
	uint64_t utime, stime;

	if (!fields || sscanf(fields,
			      ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
			      " %" SCNu64 " %" SCNu64,
			      &utime, &stime) != 2)
		return -EBADMSG;
	*cpu_s = seconds(utime + stime);
	return 0;
}

int usage_process(int fd, double *cpu_s)
{
	char stat[1024];
	int err = read_start(fd, stat, sizeof(stat));

	return err ? err : parse_process(stat, cpu_s);
}
