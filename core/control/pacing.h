/*
 * Telling the jobs of a space their pace (space/pace.h): once a period, and at once when how many
 * objects may grow, or the advice, has changed.
 */
#pragma once

#include <stdbool.h>

#include "control/orchestrator.h"
#include "control/place.h"
#include "space/pace.h"

struct pacing {
	struct pace pace; /* as last written; its serial 0: never */
	double drain_bps; /* delivered, over some seconds */
	bool warned;
};

/* dt_s: since the last call. Warns once of a space that does not take it. */
void pacing_tell(struct pacing *pacing, const struct place *place,
		 const struct control_facts *facts, const struct control_order *order, double dt_s,
		 bool period, int64_t valid_ns);

/* The host says nothing any more. */
void pacing_end(const struct place *place);
