#include "base/clock.h"

#include <limits.h>
#include <stddef.h>
#include <time.h>

static int64_t (*clock_source)(void);

static int64_t clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_ns(void)
{
	return clock_source ? clock_source() : clock_read(CLOCK_MONOTONIC);
}

int64_t clock_cpu_ns(void)
{
	return clock_read(CLOCK_PROCESS_CPUTIME_ID);
}

int clock_left_ms(int64_t deadline_ns)
{
	int64_t left = deadline_ns - clock_ns();

	if (left <= 0)
		return 0;
	left = (left + NS_PER_MS - 1) / NS_PER_MS;
	return left > INT_MAX ? INT_MAX : (int)left;
}

int64_t clock_file_ns(const struct timespec *t)
{
	const int64_t most = INT64_MAX / 4 / NS_PER_S;

	if (t->tv_sec >= most)
		return most * NS_PER_S;
	return t->tv_sec <= -most ? -most * NS_PER_S : t->tv_sec * NS_PER_S + t->tv_nsec;
}

void clock_use(int64_t (*source)(void))
{
	clock_source = source;
}
