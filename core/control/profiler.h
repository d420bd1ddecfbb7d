/*
 * The profiler of one space: facts for the orchestrator, once every guard interval.
 *
 * Use and size come from statfs, and are exact. What came in and what was freed since the last look
 * is exact where `memnet stream` says what it released; without that it is the change in use and
 * the sizes of the objects that went meanwhile, which is at least what is true of both.
 */
#pragma once

#include "control/activity.h"
#include "control/intake.h"
#include "control/orchestrator.h"
#include "control/place.h"

/* What else is known of a space: counters since some start, and figures of now; 0: not known. */
struct profiler_hints {
	bool streamed; /* the two below are true */
	uint64_t sent_bytes, released_bytes;
	double drain_bps, client_bps, cpu_busy;
};

struct profiler {
	struct place place;
	struct activity activity;
	struct intake intake;
	struct profiler_hints before;
	uint64_t used_before;
	uint64_t ahead_bytes; /* seen to leave at the last look, before the stream said so */
	bool watching, warned_nonsense, warned_lost;
	bool keep_records; /* a dry run removes nothing */
};

/* What all profilers use in turn. */
struct profiler_scratch {
	struct folder_reader reader;
};

/* 0 or -ENAMETOOLONG. */
int profiler_init(struct profiler *profiler, const char *runtime_dir, const struct space_name *name,
		  bool keep_records);
void profiler_close(struct profiler *profiler);

/*
 * Looks at the space at now_ns. facts->record points into the profiler until the next look. Time
 * and memory are bounded whatever the guest does.
 */
void profiler_look(struct profiler *profiler, int64_t now_ns, const struct profiler_hints *hints,
		   struct profiler_scratch *scratch, struct control_facts *facts);
