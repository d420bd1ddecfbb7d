/* A process' share of the machine's joules: as its threads' of the CPU time, and said to be so. */
#include "energy/consumer.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "energy/usage.h"
#include "tests/energy/tree.h"
#include "tests/tap.h"

static const char *proc;

/* CPU seconds since boot of all, and of the process 42. */
static void set(double busy_s, double cpu_s)
{
	tree_cpu(proc, 42, busy_s, cpu_s);
}

static struct energy rapl(double joules)
{
	return (struct energy){.joules = joules, .source = ENERGY_RAPL};
}

static void open_at(struct consumer *c, struct energy machine)
{
	set(100, 10);
	is_int(consumer_open(c, proc, 42, machine), 0, "a process");
}

/* The joules it has after one more reading. */
static double reads(struct consumer *c, struct energy machine)
{
	struct energy used;

	return consumer_read(c, machine, &used) ? -1 : used.joules;
}

static void shares(void)
{
	struct consumer c;
	struct energy used;

	open_at(&c, rapl(1000));
	ok(isnan(reads(&c, rapl(1000))), "no figure before there is an interval");
	set(104, 11);
	is_int(consumer_read(&c, rapl(1200), &used), 0, "an interval");
	ok(near(used.joules, 50), "a quarter of the time, a quarter of the 200 J");
	ok(used.source == ENERGY_RAPL && used.estimated && !used.gaps, "estimated from rapl");
	set(105, 12);
	ok(near(reads(&c, rapl(1210)), 60), "all of the time, all of 10 J");
	ok(near(reads(&c, rapl(1215)), 60), "no tick yet: the 5 J wait");
	set(107, 12);
	ok(near(reads(&c, rapl(1300)), 60), "and are others'");
	set(108, 14);
	ok(near(reads(&c, rapl(1310)), 70), "more than all of the time is all of it");
	consumer_close(&c);
}

static void gaps(void)
{
	struct energy gap = rapl(NAN), used;
	struct consumer c;

	open_at(&c, rapl(0));
	set(102, 11);
	ok(near(reads(&c, rapl(10)), 5), "5 J");
	set(104, 12);
	is_int(consumer_read(&c, gap, &used), 0, "the meter has no figure");
	ok(near(used.joules, 5) && used.gaps == 1, "5 J, partial");
	set(106, 13);
	ok(near(reads(&c, rapl(30)), 5), "nor can what follows it be shared");
	set(108, 14);
	ok(near(reads(&c, rapl(40)), 10), "the next can");
	is_int(consumer_read(&c, rapl(40), &used), 0, "and");
	is_int(used.gaps, 2, "it stays partial");
	consumer_close(&c);
}

static void unknown(void)
{
	struct consumer c;
	struct energy used;

	open_at(&c, ENERGY_UNKNOWN);
	set(102, 11);
	is_int(consumer_read(&c, ENERGY_UNKNOWN, &used), 0, "without a source");
	ok(isnan(used.joules) && used.source == ENERGY_NONE, "there is no figure");
	consumer_close(&c);
}

/* Puts the descriptor of a process that has ended in place of fd. */
static void end_process(int fd)
{
	pid_t pid = fork();
	int ended;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	ended = usage_open(USAGE_PROC, pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	dup2(ended, fd);
	close(ended);
}

static void ends(void)
{
	struct consumer c;
	struct energy used;

	open_at(&c, rapl(0));
	set(102, 11);
	ok(near(reads(&c, rapl(10)), 5), "5 J");
	set(104, 12);
	end_process(c.process);
	is_int(consumer_read(&c, rapl(20), &used), -ESRCH, "it has ended");
	ok(near(used.joules, 5) && used.gaps == 1, "it has what it had, less its end");
	consumer_close(&c);
	is_int(consumer_open(&c, proc, 43, rapl(0)), -ESRCH, "no such process");
	consumer_close(&c);
}

int main(void)
{
	static const struct tree_file none[] = {{NULL, NULL}};

	proc = tree_new(scratch_open(), none);
	shares();
	gaps();
	unknown();
	ends();
	return done_testing();
}
