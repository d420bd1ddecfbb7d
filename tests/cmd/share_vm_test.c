/* What the verbs of memnet share have in common. */
#include "cmd/share.h"

#include "base/clock.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static int64_t now = NS_PER_S;

static int64_t slow_clock(void)
{
	return now += 3 * NS_PER_S;
}

/* The clock goes on while the lock is waited for. */
static void test_deadline(void)
{
	struct invocation inv = {.common.runtime_dir = scratch_path};
	struct share s = {.inv = &inv, .lock = -1, .wait_ns = 10 * NS_PER_S, .name.vm = "web1"};

	clock_use(slow_clock);
	s.deadline_ns = now + 2 * NS_PER_S;
	is_int(share_lock(&s), 0, "locked");
	is_int(s.deadline_ns, now + s.wait_ns, "and QEMU has all of its time");
	is_int(share_end(&s, 0), MN_OK, "unlocked");
	clock_use(NULL);
}

int main(void)
{
	close(scratch_open());
	test_deadline();
	return done_testing();
}
