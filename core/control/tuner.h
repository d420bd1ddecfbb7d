/*
 * The live loop of `memnet tune`.
 *
 *	every guard interval:	profiler_look() each space -> control_tick() -> control_apply()
 *
 * Theory of operation. Everything runs in one event loop, on the monotonic clock, in memory taken
 * at the start. Between two looks nothing of a space is held open, so spaces may appear, vanish and
 * be made anew at any time. Each space is locked for as long as the loop runs, so that no two
 * loops size one space; its VM's pool is locked, as every command does that changes it, only for
 * the microseconds of a resize. A watchdog (control/watchdog.h) has the sizes for when we are dead.
 *
 * A dry run looks and decides, and touches nothing: it takes the size that it would have set for
 * the size, and what follows from that is counterfactual.
 */
#pragma once

#include <stdbool.h>

#include "base/loop.h"
#include "control/connections.h"
#include "control/host_memory.h"
#include "control/orchestrator.h"
#include "control/pacing.h"
#include "control/power.h"
#include "control/profiler.h"
#include "control/scrape.h"
#include "control/streaming.h"
#include "control/streams.h"
#include "control/uplink.h"
#include "control/vcpus.h"
#include "control/watchdog.h"

/* What sizes spaces are left with. */
enum tuner_failsafe {
	TUNER_FAILSAFE_DEFAULT, /* as AUTO */
	TUNER_FAILSAFE_AUTO,	/* control_failsafe()'s */
	TUNER_FAILSAFE_SIZE,	/* failsafe_bytes */
	TUNER_FAILSAFE_OFF,	/* as they are */
};

struct tuner_wish {
	struct space_name name;
	struct control_wish wish;
	enum tuner_failsafe failsafe;
	uint64_t failsafe_bytes;
	char monitor[512]; /* of its VM's QEMU */
};

#define TUNER_SPACES_MAX  WATCHDOG_SPACES_MAX
#define TUNER_STREAMS_MAX 16

/* Where a `memnet stream` has its metrics. */
struct tuner_stream {
	char address[64];
	uint16_t port;
};

/* So long a look waits for the streams to answer; without them it takes what it has. */
#define TUNER_ANSWER_NS 20000000LL

struct tuner_config {
	struct control_tuning tuning;
	struct tuner_wish *space;
	size_t nspaces;
	struct tuner_stream stream[TUNER_STREAMS_MAX];
	size_t nstreams;
	char uplink[16]; /* ""; the default route's */
	struct meter_options energy;
};

/* A VM, of which there may be several spaces. */
struct tuner_vm {
	const char *name;
	struct vcpus vcpus;
	struct power_vm power;
	int64_t since_ns; /* that its energy is counted */
	/* Of all its spaces, since the start. */
	uint64_t jobs, delivered_bytes;
};

/* One line of the log: what was decided for a space, and from what. */
struct tuner_decision {
	const struct tuner_wish *wish;
	const struct control_facts *facts; /* size_bytes is the new size */
	const struct control_order *order;
	const struct tuner_vm *vm;
	double counted_s; /* for so long its VM's energy has been counted */
	double lent_bps;  /* what its streams were told; 0: nothing */
	uint64_t from_bytes,
		peak_bytes;	/* the size before; the highest use since the last period */
	double in_bps, out_bps; /* since the last period's decision */
	uint64_t nonsense;	/* what was no record, ever */
	bool period;		/* not a guard action */
	bool counterfactual;
};

struct tuner_space {
	struct profiler profiler;
	struct profiler_hints hints;
	int64_t hints_ns; /* when a stream last told of it */
	size_t vm;	  /* whose it is */
	struct pacing pacing;
	struct streaming streaming;
	int lockfd;
	uint64_t virtual_bytes; /* dry run: the size it would have; 0: as it is */
	/* Since the last period. */
	uint64_t peak_bytes, in_bytes, out_bytes;
	int64_t since_ns;
	uint64_t in_total, out_total, records; /* since the start */
	unsigned int resizes;
	enum control_reason reason; /* of the last decision told */
	unsigned int alarms;
};

struct tuner {
	struct loop *loop;
	struct timer timer, late;
	int64_t due_ns; /* of the look under way */
	bool asking;
	const char *runtime_dir;
	const struct tuner_config *config;
	bool dry_run, once, counterfactual;
	unsigned int periods;
	int64_t last_ns; /* of the last tick; 0: none */
	struct control control;
	struct tuner_space *space;
	struct control_facts *facts;
	struct control_order *order;
	struct watchdog_row *row;
	struct place **place;
	int *lockfd;
	struct scrape *stream;
	struct streaming_named *named;	 /* of each stream of these, all spaces */
	struct connections *connections; /* of each stream */
	struct streams *streams;	 /* those that were found */
	struct tuner_vm *vm;
	size_t nvms;
	struct task_times times;
	struct uplink uplink;
	struct host_memory memory;
	struct power power;
	struct watchdog watchdog;
	bool unwatched; /* there is none, which has been told */
	struct profiler_scratch scratch;
	void (*answered)(struct tuner *tuner); /* no stream is waited for any more */
	/* Called, where it is set, with the facts of every look; with every decision; after every
	 * tick. */
	void (*looked)(struct tuner *tuner, int64_t now_ns);
	void (*decided)(struct tuner *tuner, const struct tuner_decision *decision);
	void (*ticked)(struct tuner *tuner, bool period);
};

/*
 * Locks the spaces, starts the watchdog and sets the first tick. config and the strings must
 * outlive it. 0; -EBUSY with MN_BUSY where another loop has a space; or -errno. tuner_close()
 * accepts what any outcome left.
 */
int tuner_open(struct tuner *tuner, struct loop *loop, const char *runtime_dir,
	       const struct tuner_config *config, bool dry_run, struct mn_error *e);

/* Another configuration: what was learned of spaces that stay is kept, and those that do not are
 * given the size at which they are safe unattended. As tuner_open(). */
int tuner_reopen(struct tuner *tuner, const struct tuner_config *config, struct mn_error *e);

/* Which of its spaces that is; config->nspaces: none. */
size_t tuner_find(const struct tuner *tuner, const struct space_name *name);

/* Gives each space the size at which it is safe unattended. The number resized. */
unsigned int tuner_failsafe(struct tuner *tuner);

void tuner_close(struct tuner *tuner);
