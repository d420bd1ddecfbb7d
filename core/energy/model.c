#include "energy/model.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "energy/usage.h"

static bool in_range(double watts)
{
	return watts >= 0 && watts <= MODEL_WATTS_MAX;
}

static int set_watts(struct model *m, struct model_watts watts, unsigned int cpus,
		     struct mn_error *e)
{
	if (isnan(watts.idle_watts))
		watts.idle_watts = MODEL_IDLE_WATTS_PER_CPU * cpus;
	if (isnan(watts.core_watts))
		watts.core_watts = MODEL_CORE_WATTS;
	if (!in_range(watts.idle_watts) || !in_range(watts.core_watts) ||
	    watts.idle_watts + watts.core_watts <= 0)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "%g W idle and %g W for each busy CPU: want 0 to %g, and not both 0",
			       watts.idle_watts, watts.core_watts, MODEL_WATTS_MAX);
	m->watts = watts;
	return 0;
}

int model_open(struct model *m, const char *proc, struct model_watts watts, struct mn_error *e)
{
	int cpus = usage_cpus(proc), err = cpus < 0 ? cpus : 0;

	*m = (struct model){.fd = usage_open(proc, 0), .read_ns = clock_ns()};
	if (!err)
		err = m->fd < 0 ? m->fd : usage_machine(m->fd, &m->busy_s);
	if (err)
		return mn_fail_errno(e, -err, "%s/stat", proc);
	return set_watts(m, watts, (unsigned int)cpus, e);
}

void model_close(struct model *m)
{
	cleanup_close(&m->fd);
	m->fd = -1;
}

int model_read(struct model *m)
{
	double busy_s;
	int err = usage_machine(m->fd, &busy_s);
	int64_t now_ns = clock_ns();

	if (err)
		return err;
	m->joules += m->watts.idle_watts * (double)(now_ns - m->read_ns) / NS_PER_S;
	if (busy_s > m->busy_s)
		m->joules += m->watts.core_watts * (busy_s - m->busy_s);
	m->busy_s = busy_s;
	m->read_ns = now_ns;
	return 0;
}
