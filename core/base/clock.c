#include "base/clock.h"

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

void clock_use(int64_t (*source)(void))
{
	clock_source = source;
}
