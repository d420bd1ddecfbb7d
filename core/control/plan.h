#pragma once

#include "control/estimator.h"

/* A question in closed form: how large must a space be for this load? */
struct plan_question {
	double lambda;	       /* objects a second */
	double size_bytes, cv; /* their mean size and its coefficient of variation */
	double drain_bps;      /* of all clients together */
	double client_bps;     /* of one */
	double work_bps;       /* at which an object is written; 0: all at once */
	double ttl_s;
	bool punched;
};

struct plan_answer {
	struct queue_prediction prediction; /* mean, deviation, load of the drain, doubts */
	double q95_bytes, q99_bytes;
	double full_drain_lambda; /* at which the drain is saturated */
};

/* What the simulator's workers write, and what `--plan` takes when it is not told. */
#define PLAN_WORK_BPS 20e6

/*
 * As queue_predict(): 0, -EINVAL, or -ERANGE when more comes than can be delivered; -EOVERFLOW when
 * that is more memory than there could be.
 */
int plan(const struct plan_question *question, struct plan_answer *answer);

/* A doubt (one QUEUE_ bit) in words. */
const char *plan_doubt_text(unsigned int doubt);
