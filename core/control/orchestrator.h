#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/estimator.h"
#include "control/record_check.h"

/*
 * The orchestrator turns what a host saw of its spaces into the sizes they are to have. It does no
 * I/O and reads no clock: the live loop and the simulator call the same code. After
 * control_init() nothing is allocated.
 *
 *	each guard interval:	facts -> control_tick() -> orders -> control_apply()
 */

/* The keys of the configuration. control_tuning_default() has the defaults. */
struct control_tuning {
	uint64_t period_ns;	/* 2 s */
	uint64_t guard_ns;	/* 200 ms; 0: no guard, ticks come once a period */
	uint64_t budget_bytes;	/* for all spaces together; 0: none, for a single space only */
	double reserve;		/* of the budget, kept for stalls: 0.02 */
	double slo_margin;	/* late is what takes longer than this part of the limit: 0.85 */
	uint64_t slo_window_ns; /* 30 s */
	double shrink_hold;	/* periods for which half the headroom may lie idle: 4 */
	uint64_t headroom_min_bytes; /* 8 MB */
	double headroom_factor;	     /* 1.25 */
	uint64_t payback_ns;	     /* lend only what drains back in this time: 120 s */
	uint64_t stale_ns;	     /* a guest silent for this long is not believed: 30 s */
	uint64_t failsafe_ns;	     /* for how long a space must be safe unattended: 15 s */
};

struct control_tuning control_tuning_default(void);

/* What is asked for one space. */
struct control_wish {
	uint64_t min_bytes, max_bytes; /* 0 < min <= max */
	double weight;		       /* > 0 */
	uint64_t slo_ns;	       /* limit of the response time; 0: none */
	double slo_share;	       /* of the jobs to stay below it: 0.95 */
	double ttl_s;		       /* objects stay this long after delivery */
	bool punched;		       /* delivered ranges are freed at once */
};

/* What the host saw of one space since the last tick, and what the guest said. */
struct control_facts {
	bool absent;			    /* the space is not there: no order for it */
	uint64_t size_bytes, used_bytes;    /* now, from statfs */
	uint64_t peak_bytes;		    /* highest use since the last tick, if known; else 0 */
	uint64_t delivered_bytes;	    /* sent to clients since the last tick */
	uint64_t inflow_bytes, freed_bytes; /* written and released since the last tick */
	unsigned int started, completed;    /* objects, since the last tick */
	double completed_bytes, completed_bytes2; /* sums of their sizes and of the squares */
	unsigned int growing, deliverable; /* objects now: being written; whole, not released */
	double cpu_busy;		   /* of the VM's CPUs, 0 to 1; 0: not known */
	double drain_bps, client_bps;	   /* 0: not known */
	bool full;			   /* a writer finds no room now */
	const struct job_record *record;   /* unchecked; read once, during the call */
	size_t nrecords;
};

enum control_reason {
	CONTROL_HOLD,
	CONTROL_GROW,	  /* at a period, to its need */
	CONTROL_SHRINK,	  /* it had idle room for long enough */
	CONTROL_GUARD,	  /* grown between periods */
	CONTROL_STALL,	  /* full, and nothing will leave by itself */
	CONTROL_BUDGET,	  /* less than it needs, or slack given up to others */
	CONTROL_FAILSAFE, /* the size for when nobody looks */
	CONTROL_REFUSED,  /* tmpfs would not: set by control_apply() */
	CONTROL_NREASONS
};

const char *control_reason_name(enum control_reason reason);

/* Alarms, as bits. control_alarm_text() has each in words. */
#define CONTROL_CPU_BOUND      0x01 /* late, but not for want of memory: do not grow */
#define CONTROL_DRAIN_OVERLOAD 0x02 /* more comes than can be delivered */
#define CONTROL_DEADLOCK       0x04 /* full of half-written objects */
#define CONTROL_OBJECT_TOO_BIG 0x08 /* a single object fills the largest allowed size */
#define CONTROL_PAYBACK	       0x10 /* it may not borrow more, for it drains too slowly */
#define CONTROL_OVERCOMMITTED  0x20 /* use or minima exceed the budget */
#define CONTROL_NALARMS	       6

const char *control_alarm_text(unsigned int alarm);

enum control_guest { CONTROL_GUEST_OK, CONTROL_GUEST_STALE, CONTROL_GUEST_REJECTED };

/* What to do with one space, and why; everything a log line wants to say. */
struct control_order {
	uint64_t size_bytes; /* never 0, never below the use */
	enum control_reason reason;
	unsigned int growing_limit; /* let no more objects than this grow; UINT_MAX: any number */
	unsigned int alarms;
	uint64_t need_bytes, headroom_bytes, entitlement_bytes;
	double p95_s, late, memory_late; /* over slo_window; fractions of jobs; 0 if none */
	double full;			 /* fraction of slo_window */
	double lambda, rho_drain, rho_cpu, model_q99_bytes, residual;
	unsigned int doubts; /* the prediction's: QUEUE_… */
	enum control_guest guest;
	uint64_t rejected[RECORD_NVERDICTS]; /* since control_init() */
};

struct control_space;
struct budget_claim;

struct control {
	struct control_tuning tuning;
	struct control_space *space;
	struct budget_claim *claim;
	size_t nspaces;
	uint64_t last_ns, period_ns; /* of the last tick, and of the last that was a period */
	double look_s;		     /* how far ticks lie apart, the worst of late */
	bool started;
};

/*
 * Ready for n spaces; wishes[] is copied. Returns 0, -ENOMEM, or -EINVAL for a wish or tuning out
 * of range, or minima above the budget. control_close() takes what any outcome left.
 */
int control_init(struct control *control, const struct control_tuning *tuning,
		 const struct control_wish wishes[], size_t n);
void control_close(struct control *control);

/*
 * After a change of configuration: space i takes over what old learnt of its space j, and keeps its
 * own wish. Spaces that nobody adopts start cold.
 */
void control_adopt(struct control *control, size_t i, const struct control *old, size_t j);

/*
 * One look at all spaces at now_ns (monotonic, not before the last). Call it every guard_ns, or
 * every period_ns without guard; late or missing calls are allowed for. Whatever facts say,
 * every order is within [max(used, min), max(used, max)], and the sum of the sizes is within the
 * budget whenever the sum of max(used, min) is. Returns whether this tick was a period.
 */
bool control_tick(struct control *control, uint64_t now_ns, const struct control_facts facts[],
		  struct control_order orders[]);

/*
 * Carry out orders: shrinks first, and a grow only so far as the budget allows by the sizes that
 * spaces really have. resize() returns 0 or -errno and is not called for a space that keeps its
 * size; where it could only shrink it to more than *size_bytes, it says to what there.
 * facts[].size_bytes is updated. Returns the number of resizes made.
 */
unsigned int control_apply(const struct control *control, struct control_facts facts[],
			   struct control_order orders[],
			   int (*resize)(void *cookie, size_t space, uint64_t *size_bytes),
			   void *cookie);

/*
 * Sizes at which every space is safe while nobody looks; under a budget at least what it is
 * entitled to. In: 0, or what a space keeps or is given anyhow; out: all sizes, 0 of one that is
 * absent. Their sum is within the budget without its reserve, if what they hold and keep is.
 */
void control_failsafe(const struct control *control, const struct control_facts facts[],
		      uint64_t size_bytes[]);
