#include "control/profiler.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "space/layout.h"

int profiler_init(struct profiler *p, const char *runtime_dir, const struct space_name *name,
		  bool keep_records)
{
	memset(p, 0, sizeof(*p));
	p->activity.fd = -1;
	p->keep_records = keep_records;
	return place_init(&p->place, runtime_dir, name);
}

void profiler_close(struct profiler *p)
{
	activity_close(&p->activity);
	p->watching = false;
}

static void warn(const struct profiler *p, bool *warned, const char *what)
{
	if (!*warned)
		log_warn("%s/%s: %s", p->place.info.name.vm, p->place.info.name.space, what);
	*warned = true;
}

/* A space that has come: nothing is known of it. */
static void begin(struct profiler *p, int rootfd)
{
	uint64_t nonsense = p->intake.nonsense;

	activity_close(&p->activity);
	if (activity_open(&p->activity, rootfd))
		log_warn("%s/%s: no inotify: objects begun and completed are not counted",
			 p->place.info.name.vm, p->place.info.name.space);
	p->intake = (struct intake){.nonsense = nonsense};
	p->before.streamed = false;
	p->watching = true;
}

static void take_records(struct profiler *p, int rootfd, int64_t now_ns,
			 struct profiler_scratch *scratch, struct control_facts *facts)
{
	uint64_t before = p->intake.nonsense;

	p->activity.records = false;
	intake_take(&p->intake, rootfd, now_ns, p->keep_records, &scratch->reader);
	p->activity.records = p->intake.more && !p->keep_records;
	if (p->intake.nonsense > before)
		warn(p, &p->warned_nonsense,
		     "what is no record was found among its records, and "
		     "dropped; more will only be counted");
	facts->record = p->intake.record;
	facts->nrecords = p->intake.count;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * What the stream released since the last look. It answers a moment before we look, so what leaves
 * in between is in our figures first, and must not count again when the stream tells of it.
 */
static uint64_t take_released(struct profiler *p, uint64_t released, uint64_t seen)
{
	uint64_t fresh = released > p->ahead_bytes ? released - p->ahead_bytes : 0;
	uint64_t freed = larger(fresh, seen);

	p->ahead_bytes = freed - fresh;
	return freed;
}

/* What came and went: from the change in use, what is known to have left, and the stream's word. */
static void take_flow(struct profiler *p, const struct profiler_hints *hints,
		      uint64_t removed_bytes, struct control_facts *facts)
{
	const struct profiler_hints *before = &p->before;
	uint64_t used = facts->used_bytes;
	uint64_t shrunk = p->used_before > used ? p->used_before - used : 0;
	uint64_t freed = larger(removed_bytes, shrunk);
	bool streamed = hints->streamed && before->streamed &&
			hints->sent_bytes >= before->sent_bytes &&
			hints->released_bytes >= before->released_bytes;

	if (streamed)
		freed = take_released(p, hints->released_bytes - before->released_bytes, freed);
	else
		p->ahead_bytes = 0;
	facts->freed_bytes = freed;
	facts->inflow_bytes = used + freed - p->used_before; /* freed is at least what it shrank */
	facts->delivered_bytes = streamed ? hints->sent_bytes - before->sent_bytes : freed;
}

static void take_counts(const struct activity_counts *counts, struct control_facts *facts)
{
	facts->started = counts->started;
	facts->completed = counts->completed;
	facts->completed_bytes = counts->completed_bytes;
	facts->completed_bytes2 = counts->completed_bytes2;
	facts->growing = counts->growing;
	facts->deliverable = counts->deliverable;
}

/* Opens the root only if there is something to look at. */
static void look_inside(struct profiler *p, int64_t now_ns, struct profiler_scratch *scratch,
			struct activity_counts *counts, struct control_facts *facts)
{
	bool pending = !p->watching || activity_pending(&p->activity);
	cleanup_fd int rootfd = pending || p->activity.records ? place_open(&p->place) : -1;

	if (rootfd >= 0 && !p->watching)
		begin(p, rootfd);
	p->activity.space_bytes = facts->size_bytes;
	activity_read(&p->activity, rootfd, &scratch->reader, counts);
	if (rootfd >= 0 && p->activity.records)
		take_records(p, rootfd, now_ns, scratch, facts);
}

void profiler_look(struct profiler *p, int64_t now_ns, const struct profiler_hints *hints,
		   struct profiler_scratch *scratch, struct control_facts *facts)
{
	enum place_state state = place_look(&p->place);
	struct activity_counts counts;

	memset(facts, 0, sizeof(*facts));
	facts->absent = state == PLACE_ABSENT;
	if (state != PLACE_SAME)
		profiler_close(p);
	if (facts->absent)
		return;
	facts->size_bytes = p->place.info.size_bytes;
	facts->used_bytes = facts->peak_bytes = p->place.info.used_bytes;
	facts->full = facts->size_bytes - facts->used_bytes < SPACE_PIECE;
	look_inside(p, now_ns, scratch, &counts, facts);
	if (p->activity.unmounted) {
		/* Another space with the same numbers: the kernel gives them out again. */
		place_forget(&p->place);
		profiler_close(p);
		p->activity.unmounted = false;
		profiler_look(p, now_ns, hints, scratch, facts);
		return;
	}
	if (counts.lost)
		warn(p, &p->warned_lost, "its guest makes files faster than they can be counted");
	take_counts(&counts, facts);
	if (state == PLACE_SAME)
		take_flow(p, hints, counts.removed_bytes, facts);
	facts->drain_bps = hints->drain_bps;
	facts->client_bps = hints->client_bps;
	facts->cpu_busy = hints->cpu_busy;
	p->before = *hints;
	p->used_before = facts->used_bytes;
}
