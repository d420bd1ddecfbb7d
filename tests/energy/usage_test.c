/* CPU time from /proc, recorded and real. */
#include "energy/usage.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "tests/energy/tree.h"
#include "tests/tap.h"

static int scratch;

#define STAT(ppid_to_cmajflt, utime, stime, started)                                               \
	" S 1 2 3 4 5 6 7 8 9 " ppid_to_cmajflt " " utime " " stime " 0 0 20 0 3 0 " started       \
	" 1000000 200\n"

static const struct tree_file host[] = {
	{"stat", "cpu  1000 20 300 99999 77 6 50 400 900 10 0\n"
		 "cpu0 500 10 150 50000 40 3 25 200 450 5 0\n"
		 "cpu2 500 10 150 49999 37 3 25 200 450 5 0\n"
		 "intr 1 2 3\n"
		 "btime 1700000000\n"},
	{"42/stat", "42 (qemu-system-x86)" STAT("10", "300", "45", "777")},
	{"43/stat", "43 (a) R 1) b)" STAT("10", "1", "2", "3")},
	{"44/stat", "44 (short) S 1 2 3\n"},
	{"45/stat", "no process\n"},
	{"46/stat", "46 (x)" STAT("10", "many", "45", "777")},
	{NULL, NULL},
};

static void recorded(void)
{
	static const char *const bad[] = {"", "cpu\n", "cpu  1 2 3 4\n",
					  "cpu  1 2 3 4 5 6 7 8\nintr 1\n"};
	const char *proc = tree_new(scratch, host);
	double tick = 1 / (double)sysconf(_SC_CLK_TCK);
	struct machine_usage machine;
	struct process_usage process;

	is_int(usage_machine(proc, &machine), 0, "a machine");
	ok(near(machine.busy_s, 1376 * tick), "no idle, waiting, stolen or doubled time: %g s",
	   machine.busy_s);
	is_int(machine.cpus, 2, "with the CPUs that are online");
	is_int(usage_process(proc, 42, &process), 0, "a process");
	ok(near(process.cpu_s, 345 * tick), "user and system time");
	is_int((intmax_t)process.started, 777, "and when it was started");
	is_int(usage_process(proc, 43, &process), 0, "one with a name to be wary of");
	ok(near(process.cpu_s, 3 * tick), "whose time is found");
	is_int(usage_process(proc, 1, &process), -ESRCH, "no process");
	for (pid_t pid = 44; pid <= 46; pid++)
		is_int(usage_process(proc, pid, &process), -EBADMSG, "no process' stat: %d", pid);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		tree_set(proc, "stat", bad[i]);
		is_int(usage_machine(proc, &machine), -EBADMSG, "no machine's stat: case %zu", i);
	}
	is_int(usage_machine("/nonexistent", &machine), -ENOENT, "no /proc");
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

static void real(void)
{
	struct machine_usage before, after;
	struct process_usage mine;
	pthread_t thread;

	is_int(usage_machine(USAGE_PROC, &before), 0, "this machine");
	pthread_create(&thread, NULL, burn, NULL);
	pthread_join(thread, NULL);
	is_int(usage_process(USAGE_PROC, getpid(), &mine), 0, "this process");
	ok(mine.cpu_s >= 0.07, "a thread's time stays when it has ended: %g s", mine.cpu_s);
	is_int(usage_machine(USAGE_PROC, &after), 0, "this machine again");
	ok(after.busy_s >= before.busy_s + 0.05, "had work: %g s", after.busy_s - before.busy_s);
	ok(after.cpus > 0, "on %u CPUs", after.cpus);
}

int main(void)
{
	scratch = scratch_open();
	recorded();
	real();
	return done_testing();
}
