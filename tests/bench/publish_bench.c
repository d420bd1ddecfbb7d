/*
 * What it costs a guest to publish, in microseconds: publish_bench SPACE [RUNS]
 *
 * Interleaved, medians of RUNS (200): a file of 4 KiB created, written and renamed by plain calls;
 * an object of as much, published; a job that does nothing but leave its record. Prints
 * "WHAT<TAB>MICROSECONDS<TAB>TIMES THE FILE".
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "guest/job.h"
#include "space/layout.h"
#include "space/publish.h"

#define RUNS_MAX 10000
#define SIZE	 4096

enum { PLAIN, OBJECT, RECORD, KINDS };

static const char *const names[KINDS] = {"file", "publish", "record"};
static const char bytes[SIZE];
static double took[KINDS][RUNS_MAX];

static void check(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "publish_bench: %s: %d\n", what, err);
	exit(1);
}

static void plain(int rootfd)
{
	int fd = openat(rootfd, "plain.part", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	check(fd < 0 || write(fd, bytes, SIZE) != SIZE || close(fd) < 0 ||
		      renameat(rootfd, "plain.part", rootfd, "plain") < 0,
	      names[PLAIN]);
}

static void object(int rootfd)
{
	struct publish p = PUBLISH_INIT;

	check(publish_begin(&p, rootfd, "bench", 0), "publish_begin");
	check(publish_write(&p, bytes, SIZE) != SIZE, "publish_write");
	check(publish_commit(&p, "object", false), "publish_commit");
}

static void record(const char *space)
{
	struct mn_error e = {0};
	struct job job;

	check(job_begin(&job, space, RECORD_COMPRESS, 0, &e), e.text);
	check(job_end(&job, RECORD_DONE), "job_end");
}

static void once(int kind, int rootfd, const char *space, double *us)
{
	int64_t began = clock_ns();

	if (kind == PLAIN)
		plain(rootfd);
	else if (kind == OBJECT)
		object(rootfd);
	else
		record(space);
	*us = (double)(clock_ns() - began) / 1e3;
}

static int order(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *list, int count)
{
	qsort(list, (size_t)count, sizeof(*list), order);
	return list[count / 2];
}

int main(int argc, char **argv)
{
	int runs = argc > 2 ? atoi(argv[2]) : 200, rootfd = -1;
	char below[OBJECT_PATH_MAX + 1];
	double least;

	check(argc < 2 || runs < 1 || runs > RUNS_MAX, "SPACE [RUNS]");
	check(space_find(argv[1], &rootfd, below, sizeof(below)), argv[1]);
	for (int i = 0; i < runs; i++) {
		for (int kind = 0; kind < KINDS; kind++)
			once((i + kind) % KINDS, rootfd, argv[1], &took[(i + kind) % KINDS][i]);
		check(unlinkat(rootfd, "plain", 0) < 0 || unlinkat(rootfd, "object", 0) < 0,
		      "removing");
	}
	least = median(took[PLAIN], runs);
	for (int kind = 0; kind < KINDS; kind++)
		printf("%s\t%.0f\t%.2f\n", names[kind], median(took[kind], runs),
		       median(took[kind], runs) / least);
	return 0;
}
