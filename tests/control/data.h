/* Finds and reads this folder's data files: what the simulator must reproduce. */
#ifndef TESTS_CONTROL_DATA_H
#define TESTS_CONTROL_DATA_H

#include <stdio.h>
#include <stdlib.h>

static FILE *data_open(const char *name)
{
	const char *source = getenv("MEMNET_SRC");
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/control/%s", source ? source : ".", name);
	file = fopen(path, "r");
	if (!file) {
		perror(path);
		exit(1);
	}
	return file;
}

/* One line of reference.csv; what is called unlimited ran with max memory. */
struct reference {
	char scenario[8];
	unsigned long seed, jobs;
	unsigned long long fnv;
	double oracle_mean_mb, oracle_peak_mb, mean_mb, track_mb, peak_mb, jobs_ok_percent;
	unsigned int violated, windows;
};

/* Whether there was another. */
__attribute__((unused)) static int reference_next(FILE *file, struct reference *r)
{
	char line[256];

	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%7[^,],%lu,%lu,%llx,%lf,%lf,%lf,%lf,%lf,%lf,%u,%u", r->scenario,
			   &r->seed, &r->jobs, &r->fnv, &r->oracle_mean_mb, &r->oracle_peak_mb,
			   &r->mean_mb, &r->track_mb, &r->peak_mb, &r->jobs_ok_percent,
			   &r->violated, &r->windows) == 12)
			return 1;
	return 0;
}

#endif
