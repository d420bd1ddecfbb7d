/*
 * CPU time, from /proc: what the model multiplies and what a VM's share is made of. The kernel
 * tells it in ticks of 10 ms, so that a share over less than a second is rough.
 */
#pragma once

#include <sys/types.h>

#define USAGE_PROC "/proc"

/*
 * Opens PROC/PID/stat, or where pid is 0 PROC/stat, to be read again and again, by a server too
 * that has given up the right to open it. A descriptor that the caller closes, or -errno; -ESRCH
 * without such a process. The descriptor stays with that process, whoever gets its number later.
 */
int usage_open(const char *proc, pid_t pid);

/*
 * CPU seconds of the machine since boot, all CPUs: not idle, not waiting, not stolen from us. 0 or
 * -errno; -EBADMSG for what is no such file.
 */
int usage_machine(int fd, double *busy_s);

/*
 * CPU seconds of a process, all its threads, those that have ended included: not the sum over
 * PROC/PID/task/, where a thread's time vanishes with it, as QEMU's I/O threads come and go. 0;
 * -ESRCH when it has ended; else -errno.
 */
int usage_process(int fd, double *cpu_s);

/* The number of CPUs that are online, by PROC/stat; or -errno. */
int usage_cpus(const char *proc);
