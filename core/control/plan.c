#include "control/plan.h"

#include <errno.h>
#include <string.h>

#define PLAN_BYTES_MAX 0x1p60 /* more than anybody has, and a whole number yet */

int plan(const struct plan_question *question, struct plan_answer *answer)
{
	struct queue_load load = {
		.lambda = question->lambda,
		.work_bps = question->work_bps,
		.drain_bps = question->drain_bps,
		.client_bps = question->client_bps,
		.ttl_s = question->ttl_s,
		.punched = question->punched,
	};
	int err;

	memset(answer, 0, sizeof(*answer));
	if (!(question->size_bytes > 0) || !(question->cv >= 0))
		return -EINVAL;
	queue_load_lognormal(&load, question->size_bytes, question->cv);
	answer->full_drain_lambda = question->drain_bps / question->size_bytes;
	err = queue_predict(&load, &answer->prediction);
	if (err)
		return err;
	if (!(answer->prediction.mean_bytes < PLAN_BYTES_MAX) ||
	    !(answer->prediction.sd_bytes < PLAN_BYTES_MAX))
		return -EOVERFLOW;
	answer->q95_bytes = queue_quantile(&answer->prediction, QUEUE_Z95);
	answer->q99_bytes = queue_quantile(&answer->prediction, QUEUE_Z99);
	return 0;
}

const char *plan_doubt_text(unsigned int doubt)
{
	switch (doubt) {
	case QUEUE_BUSY_DRAIN: return "the drain is over 85 % busy: expect more than this";
	case QUEUE_OVERLOADED: return "more comes than can be delivered: no size suffices";
	case QUEUE_FEW_CLIENTS: return "few clients fill the drain: their sharing is rough";
	case QUEUE_HEAVY_TAIL: return "heavy-tailed sizes: high quantiles may be a quarter more";
	case QUEUE_BUSY_WORKERS: return "the VM is over 85 % busy: its jobs queue for the CPU";
	default: return "unknown";
	}
}
