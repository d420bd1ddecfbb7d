/*
 * Power over time: ten times a second what the machine used, and each process' estimated part of
 * it, as TSV with comments that say when it began, and where the figures are from. An unknown
 * figure is "nan", never 0.
 *
 * So often because a job of a few seconds begins and ends between two rows, and of those its part
 * is worked out as if the power had been the same in all of the interval.
 *
 * usage: power_bench SECONDS [PID...]	MEMNET_CONF names a configuration with [energy]
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cmd/energy_config.h"
#include "energy/consumer.h"

#define CONSUMERS   16
#define INTERVAL_NS (100 * NS_PER_MS)

struct bench {
	struct meter *meter;
	const char *proc;
	struct consumer consumer[CONSUMERS];
	const char *pid[CONSUMERS];
	int count;
	struct energy last;
	int64_t start_ns, last_ns;
};

static int open_meter(struct bench *b, struct mn_error *e)
{
	struct common common = common_defaults();
	struct meter_options options;
	int err = config_energy(&common, &options, e);

	b->proc = options.proc;
	return err ? err : meter_open(&b->meter, &options, e);
}

static int open_consumers(struct bench *b, char **pids, struct mn_error *e)
{
	for (; *pids; pids++) {
		int err = -E2BIG;

		if (b->count < CONSUMERS)
			err = consumer_open(&b->consumer[b->count], b->proc, atoi(*pids), b->last);
		if (err)
			return mn_fail_errno(e, -err, "process %s", *pids);
		b->pid[b->count++] = *pids;
	}
	return 0;
}

static int start(struct bench *b, char **pids, struct mn_error *e)
{
	int err = open_meter(b, e);

	if (err)
		return err;
	b->last = meter_read(b->meter);
	b->start_ns = b->last_ns = clock_ns();
	return open_consumers(b, pids, e);
}

static void put_head(const struct bench *b)
{
	struct timespec now;
	char what[512];

	clock_gettime(CLOCK_REALTIME, &now);
	printf("# epoch %lld.%03ld\n", (long long)now.tv_sec, now.tv_nsec / 1000000);
	printf("# source: %s: %s\n", energy_source_name(b->last.source),
	       meter_describe(b->meter, what, sizeof(what)));
	if (*meter_note(b->meter))
		printf("# note: %s\n", meter_note(b->meter));
	printf("seconds\tsource\tgaps\tjoules\twatts");
	for (int i = 0; i < b->count; i++)
		printf("\tjoules_%s_estimated", b->pid[i]);
	putchar('\n');
}

static void put_row(struct bench *b)
{
	struct energy now = meter_read(b->meter);
	int64_t now_ns = clock_ns();
	double interval_s = (double)(now_ns - b->last_ns) / NS_PER_S;

	printf("%.3f\t%s\t%u\t%.3f\t%.3f", (double)(now_ns - b->start_ns) / NS_PER_S,
	       energy_source_name(now.source), now.gaps, now.joules,
	       energy_per(energy_between(b->last, now), interval_s).joules);
	for (int i = 0; i < b->count; i++) {
		struct energy used;

		consumer_read(&b->consumer[i], now, &used);
		printf("\t%.3f", used.joules);
	}
	putchar('\n');
	b->last = now;
	b->last_ns = now_ns;
}

int main(int argc, char **argv)
{
	struct mn_error e = MN_ERROR_INIT;
	struct bench b = {0};
	int seconds = argc > 1 ? atoi(argv[1]) : 0;

	if (seconds <= 0) {
		fprintf(stderr, "usage: power_bench SECONDS [PID...]\n");
		return MN_USAGE;
	}
	setlinebuf(stdout);
	if (start(&b, argv + 2, &e)) {
		fprintf(stderr, "power_bench: %s\n", e.text);
		return (int)e.status;
	}
	put_head(&b);
	while (b.last_ns - b.start_ns < seconds * NS_PER_S) {
		nanosleep(&(struct timespec){.tv_nsec = INTERVAL_NS}, NULL);
		put_row(&b);
	}
	for (int i = 0; i < b.count; i++)
		consumer_close(&b.consumer[i]);
	meter_close(b.meter);
	return MN_OK;
}
