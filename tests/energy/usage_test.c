/* CPU time from /proc, written by hand and real. */
#include "energy/usage.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/energy/tree.h"
#include "tests/tap.h"

static int scratch;

#define STAT(utime, stime) " S 1 2 3 4 5 6 7 8 9 10 " utime " " stime " 0 0 20 0 3 0 777 1000 2\n"

static const struct tree_file host[] = {
	{"stat", "cpu  1000 20 300 99999 77 6 50 400 900 10 0\n"
		 "cpu0 500 10 150 50000 40 3 25 200 450 5 0\n"
		 "cpu2 500 10 150 49999 37 3 25 200 450 5 0\n"
		 "intr 1 2 3\n"
		 "btime 1700000000\n"},
	{"42/stat", "42 (qemu-system-x86)" STAT("300", "45")},
	{"43/stat", "43 (a) R 1) b)" STAT("1", "2")},
	{"44/stat", "44 (short) S 1 2 3\n"},
	{"45/stat", "no process\n"},
	{"46/stat", "46 (x)" STAT("many", "45")},
	{NULL, NULL},
};

/* The CPU seconds of a process, pid 0: of the machine; or -errno. */
static double read_usage(const char *proc, pid_t pid)
{
	int fd = usage_open(proc, pid), err = fd;
	double cpu_s = 0;

	if (fd >= 0)
		err = pid ? usage_process(fd, &cpu_s) : usage_machine(fd, &cpu_s);
	if (fd >= 0)
		close(fd);
	return err < 0 ? err : cpu_s;
}

static void by_hand(void)
{
	static const char *const bad[] = {"", "cpu\n", "cpu  1 2 3 4\n", "cat  1 2 3 4 5 6 7 8\n"};
	const char *proc = tree_new(scratch, host);
	double tick = 1 / (double)sysconf(_SC_CLK_TCK);

	ok(near(read_usage(proc, 0), 1376 * tick), "no idle, waiting, stolen or doubled time");
	is_int(usage_cpus(proc), 2, "the CPUs that are online");
	ok(near(read_usage(proc, 42), 345 * tick), "user and system time of a process");
	ok(near(read_usage(proc, 43), 3 * tick), "of one with a name to be wary of");
	ok(near(read_usage(proc, 1), -ESRCH), "no process");
	for (pid_t pid = 44; pid <= 46; pid++)
		ok(near(read_usage(proc, pid), -EBADMSG), "no process' stat: %d", pid);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		tree_set(proc, "stat", bad[i]);
		ok(near(read_usage(proc, 0), -EBADMSG), "no machine's stat: case %zu", i);
		is_int(usage_cpus(proc), -EBADMSG, "nor CPUs in it");
	}
	is_int(usage_open("/nonexistent", 0), -ENOENT, "no /proc");
	is_int(usage_cpus("/nonexistent"), -ENOENT, "nor CPUs in it");
}

/* Until the thread has used 100 ms of CPU time. */
static void *burn(void *arg)
{
	volatile unsigned int spin = 0;
	struct timespec ts;

	do {
		spin++;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	} while (ts.tv_nsec < 100 * NS_PER_MS);
	return arg;
}

/*
 * Works until the machine's count is so high, for a minute at most: it counts by ticks, of which a
 * host that is itself a guest misses those in which it does not run.
 */
static int machine_works(int machine, double until_s, double *busy_s)
{
	struct timespec now;
	time_t end;
	int err;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + 60;
	do {
		err = usage_machine(machine, busy_s);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (!err && *busy_s < until_s && now.tv_sec < end);
	return err;
}

/* Through one descriptor each, read again. */
static void real(void)
{
	int machine = usage_open(USAGE_PROC, 0), self = usage_open(USAGE_PROC, getpid());
	double busy_s, later_s, cpu_s;
	pthread_t thread;

	is_int(usage_machine(machine, &busy_s), 0, "this machine");
	is_int(usage_process(self, &cpu_s), 0, "this process");
	pthread_create(&thread, NULL, burn, NULL);
	pthread_join(thread, NULL);
	is_int(usage_process(self, &cpu_s), 0, "again");
	ok(cpu_s >= 0.07, "a thread's time stays when it has ended: %g s", cpu_s);
	is_int(machine_works(machine, busy_s + 0.05, &later_s), 0, "and this machine again");
	ok(later_s >= busy_s + 0.05, "had work: %g s", later_s - busy_s);
	ok(usage_cpus(USAGE_PROC) > 0, "on %d CPUs", usage_cpus(USAGE_PROC));
	close(machine);
	close(self);
}

static void ended(void)
{
	double cpu_s;
	pid_t pid = fork();
	int fd;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	fd = usage_open(USAGE_PROC, pid);
	is_int(usage_process(fd, &cpu_s), 0, "a child");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	is_int(usage_process(fd, &cpu_s), -ESRCH, "that has ended, whoever has its number now");
	close(fd);
}

int main(void)
{
	scratch = scratch_open();
	by_hand();
	real();
	ended();
	return done_testing();
}
