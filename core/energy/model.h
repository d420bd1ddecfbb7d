/*
 * Energy where nothing measures it: stated watts times time.
 *
 *	joules = idle_watts * seconds + core_watts * busy CPU seconds
 *
 * The busy seconds are the whole machine's, from /proc/stat, each hardware thread by itself. The
 * model knows neither frequency nor cache misses nor the network card, so it cannot find energy
 * saved by anything but fewer CPU seconds or less time; what it is good for is to compare two ways
 * to do the same work on the same machine.
 *
 * The defaults are our own assumption, measured on no machine: a server at full load draws 7.5 W
 * for each hardware thread, memory and losses included, and a third of that when it idles: 2.5 W
 * and 5 W of each online CPU. A machine's own figures replace them, [energy] idle_watts and
 * core_watts in the configuration: read a power meter (or RAPL on a like machine) for a minute
 * idle and a minute with every CPU busy; idle_watts is the first, core_watts the difference divided
 * by the number of CPUs.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

#define MODEL_IDLE_WATTS_PER_CPU 2.5
#define MODEL_CORE_WATTS	 5.0
#define MODEL_WATTS_MAX		 1e6

/* NAN: the default. */
struct model_watts {
	double idle_watts; /* of the whole machine */
	double core_watts; /* more, for each busy CPU */
};

struct model {
	int fd;			  /* of PROC/stat */
	struct model_watts watts; /* those in use */
	double busy_s;
	int64_t read_ns;
	double joules;
};

/*
 * Starts to count by PROC/stat. 0; -EINVAL for watts that are not within
 * 0 and MODEL_WATTS_MAX, or are both 0, which would be a silent 0; else
 * -errno. model_close() takes it in each case.
 */
int model_open(struct model *model, const char *proc, struct model_watts watts, struct mn_error *e);
void model_close(struct model *model);

/* Adds what was used since the last call to model->joules. 0 or -errno. */
int model_read(struct model *model);
