/* The clock: never back, and replaceable. */
#include "base/clock.h"

#include "tests/tap.h"

static int64_t noon(void)
{
	return 12;
}

static void test_file_times(void)
{
	const struct timespec now = {1800000000, 5}, end = {INT64_MAX, 999999999},
			      begin = {INT64_MIN, 0};

	is_int(clock_file_ns(&now), 1800000000 * NS_PER_S + 5, "a file's time");
	ok(clock_file_ns(&end) > clock_file_ns(&now), "the end of times is later");
	ok(clock_file_ns(&end) - clock_file_ns(&begin) > 0, "and the begin a difference before it");
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
	test_file_times();
	return done_testing();
}
