/* Taking turns: three jobs, three open files of one lock, and a clock of the test's. */
#include "guest/turn.h"

#include "base/clock.h"
#include "base/lock.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static int64_t now = NS_PER_S;
static int root;

static int64_t test_clock(void)
{
	return now;
}

static struct turn job(void)
{
	struct turn t;

	turn_init(&t, openat(root, "lock", O_RDWR | O_CREAT, 0600));
	return t;
}

static void end(struct turn *t)
{
	turn_end(t);
	close(t->lockfd);
}

static void elder_and_others(void)
{
	struct turn a = job(), b = job();

	ok(!turn_step(&a), "the first that is blocked keeps its room");
	ok(a.elder && !turn_others(&a), "and is the elder, and alone");
	ok(!turn_step(&b) && !b.elder, "the second is not, and keeps its room as yet");
	ok(turn_others(&a) && turn_others(&b), "each knows that another waits");
	now += TURN_HUNGRY_NS;
	ok(!turn_step(&a) && a.hungry, "an elder that gets nothing in is hungry");
	ok(turn_step(&b), "then the other gives its room back");
	turn_progress(&a);
	ok(a.hungry && turn_hungry(&b), "until the elder's object is published");
	turn_end(&a);
	ok(!turn_hungry(&b), "not longer");
	ok(turn_take(&b), "and the other is the elder");
	end(&a);
	end(&b);
}

static void in_vain(void)
{
	struct turn a = job(), b = job();

	turn_step(&a);
	now += TURN_PATIENCE_NS;
	ok(!turn_step(&a), "nobody else waits: an elder stays");
	turn_step(&b);
	ok(turn_step(&a), "somebody does: it gives way");
	ok(!a.elder && !a.hungry, "no elder any more");
	ok(!turn_take(&a), "nor at once again");
	ok(turn_take(&b), "the other is");
	turn_end(&b);
	now += TURN_PATIENCE_NS;
	ok(turn_take(&a), "later it tries again");
	is_int(a.patience_ns, 2 * TURN_PATIENCE_NS, "with more patience");
	for (int i = 0; i < 10; i++) {
		turn_step(&b);
		turn_take(&a);
		turn_step(&a);
		now += a.patience_ns;
		turn_step(&a);
		now += a.patience_ns;
	}
	is_int(a.patience_ns, 16 * TURN_PATIENCE_NS, "which has an end");
	end(&a);
	is_int(a.patience_ns, TURN_PATIENCE_NS, "and begins anew with the next object");
	end(&b);
}

/* A clock that jumps: forwards no job loses more than its turn, and nobody waits for ever. */
static void clock_jumps(void)
{
	struct turn a = job(), b = job();

	turn_step(&a);
	turn_step(&b);
	now += 1000 * NS_PER_S;
	ok(turn_step(&a), "a jump makes the elder give way");
	ok(turn_take(&b), "to one that waits");
	now -= 500 * NS_PER_S;
	ok(!turn_step(&b) && b.elder, "one back takes nothing away");
	turn_end(&b);
	now += 1000 * NS_PER_S;
	ok(turn_take(&a), "and the first has its turn again");
	end(&a);
	end(&b);
}

static void killed(void)
{
	struct turn a = job(), b = job();

	turn_step(&a);
	now += TURN_HUNGRY_NS;
	turn_step(&a);
	close(a.lockfd); /* as the kernel does for one that is killed */
	ok(!turn_hungry(&b) && turn_take(&b), "a killed elder leaves nothing locked");
	end(&b);
}

int main(void)
{
	root = scratch_open();
	clock_use(test_clock);
	elder_and_others();
	in_vain();
	clock_jumps();
	killed();
	return done_testing();
}
