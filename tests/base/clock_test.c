/* The clock: never back, and replaceable. */
#include "base/clock.h"

#include "tests/tap.h"

static int64_t noon(void)
{
	return 12;
}

int main(void)
{
	int64_t before = clock_ns(), cpu = clock_cpu_ns();
	volatile unsigned spin = 0;

	ok(before > 0, "there is a time");
	while (clock_cpu_ns() - cpu < NS_PER_MS)
		spin++;
	ok(clock_ns() >= before + NS_PER_MS / 2, "CPU time takes time");
	clock_use(noon);
	is_int(clock_ns(), 12, "a test puts its own in its place");
	clock_use(NULL);
	ok(clock_ns() > before, "and gives the real one back");
	return done_testing();
}
