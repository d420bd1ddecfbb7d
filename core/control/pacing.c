#include "control/pacing.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

#define DRAIN_TAU_S 2.0

/*
 * More compression where the room, that is the drain, is what jobs wait for; less where the drain
 * waits for them. zstd's --adapt does the same by its own buffers.
 */
static int advice(const struct control_facts *facts, const struct control_order *order)
{
	uint64_t free = facts->size_bytes - facts->used_bytes;

	if (facts->full || order->growing_limit != UINT_MAX || order->reason == CONTROL_BUDGET)
		return 1;
	if (facts->growing && !facts->deliverable && !facts->delivered_bytes &&
	    free > facts->size_bytes / 2)
		return -1;
	return 0;
}

static void write_pace(struct pacing *pacing, const struct place *place)
{
	cleanup_fd int rootfd = place_open(place);
	int err = rootfd < 0 ? rootfd : pace_write(rootfd, &pacing->pace);

	if (!err || err == -ENOSPC || pacing->warned)
		return; /* with no page left now, there will be one later */
	log_warn("%s/%s: cannot tell its jobs their pace: %s", place->info.name.vm,
		 place->info.name.space, strerror(-err));
	pacing->warned = true;
}

void pacing_tell(struct pacing *pacing, const struct place *place,
		 const struct control_facts *facts, const struct control_order *order, double dt_s,
		 bool period, int64_t valid_ns)
{
	uint32_t limit = order->growing_limit == UINT_MAX ? PACE_ANY : order->growing_limit;
	int level = advice(facts, order);
	bool changed = limit != pacing->pace.growing_limit || level != pacing->pace.level;

	if (dt_s > 0)
		pacing->drain_bps += ((double)facts->delivered_bytes / dt_s - pacing->drain_bps) *
				     (dt_s < DRAIN_TAU_S ? dt_s / DRAIN_TAU_S : 1);
	if (!period && !changed && pacing->pace.serial)
		return;
	pacing->pace = (struct pace){
		.serial = pacing->pace.serial + 1,
		.size_bytes = facts->size_bytes,
		.free_bytes = facts->size_bytes - facts->used_bytes,
		.drain_bytes_per_s = (uint64_t)pacing->drain_bps,
		.growing_limit = limit,
		.level = level,
		.valid_ns = valid_ns,
	};
	write_pace(pacing, place);
}

void pacing_end(const struct place *place)
{
	cleanup_fd int rootfd = place_open(place);

	if (rootfd >= 0)
		pace_remove(rootfd);
}
