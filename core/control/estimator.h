#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The queueing predictor: what a space will hold, from the load and the drain alone. It serves the
 * cold start, the fail-safe size, `tune --plan` and headroom where there is no guard.
 */
struct queue_load {
	double lambda;	  /* objects a second */
	double size_mean; /* bytes; with size_square and size_cube the first three moments */
	double size_square, size_cube;
	double work_bps;   /* at which one object grows; 0: at once */
	double drain_bps;  /* of all clients together; 0: without limit */
	double client_bps; /* of one object's client; 0: without limit */
	double ttl_s;	   /* an object stays this long after its delivery */
	bool punched;	   /* delivered ranges are freed at once */
};

/* Why a prediction is not to be trusted; bits. */
#define QUEUE_BUSY_DRAIN   0x1	/* rho > 0.85: the formula falls short */
#define QUEUE_OVERLOADED   0x2	/* rho >= 1: there is no steady state, and no prediction */
#define QUEUE_FEW_CLIENTS  0x4	/* client_bps is near drain_bps: the stretch is rough */
#define QUEUE_HEAVY_TAIL   0x8	/* cv > 1.5: high quantiles come out up to a quarter too low */
#define QUEUE_BUSY_WORKERS 0x10 /* rho_cpu > 0.85: the formula knows no queue for the CPU */

struct queue_prediction {
	double mean_bytes, sd_bytes;
	double rho;	/* load of the drain */
	double stretch; /* a delivery takes this many times longer than alone */
	unsigned int doubts;
};

/* Fill in lognormal moments from a mean and a coefficient of variation. */
void queue_load_lognormal(struct queue_load *load, double mean_bytes, double cv);

/*
 * M/G/inf shot noise, stretched by an M/G/R processor-sharing drain. Returns 0, -EINVAL for a
 * negative or missing figure, or -ERANGE when overloaded (prediction then holds rho and doubts).
 */
int queue_predict(const struct queue_load *load, struct queue_prediction *prediction);

/* The quantile at z standard normal deviations, of a Gamma with this mean and deviation. */
double queue_quantile(const struct queue_prediction *prediction, double z);
#define QUEUE_Z95 1.6448536269514722
#define QUEUE_Z99 2.3263478740408408

/* The chance that all of n servers are busy at offered load a < n (Erlang C). */
double queue_erlang_c(unsigned int n, double a);

/*
 * What is known of one space, learned from what the host itself saw. Nothing a guest says enters
 * here but through estimator_slo(), which moves eps only.
 */
#define ESTIMATOR_PEAKS 60

struct estimator {
	double inflow_peak_bps;		/* V: the fastest inflow lately */
	unsigned int writers;		/* objects growing now */
	double inflow_bps;		/* over 20 s */
	double drained_2s, drained_20s; /* bytes delivered a second */
	double cpu_busy;		/* part of the VM's CPUs, over 20 s */
	double starts_10s, starts_60s;	/* objects started a second */
	double growing;			/* objects being written, over 60 s */
	double completed, size_mean, size_square;
	double residual, residual_gain; /* ln(measured / predicted peak) by least squares */
	double theta, eps; /* headroom without guard: factor, and how often it may fail */
	uint64_t peak_bytes[ESTIMATOR_PEAKS];
	unsigned int npeaks;
	double age_s;
};

/* One interval between two looks at a space. */
struct estimator_interval {
	double dt_s;
	uint64_t inflow_bytes, delivered_bytes;
	double cpu_busy;
	unsigned int started, growing;
	unsigned int completed; /* objects, and the sums of their sizes and of the squares */
	double completed_bytes, completed_bytes2;
};

void estimator_init(struct estimator *est);

/* At every look. */
void estimator_observe(struct estimator *est, const struct estimator_interval *seen);

/*
 * At every period: the highest use since the last. The residual learns how the two-minute peak
 * compares with what the model says of it (model_bytes, 0 if it says nothing).
 */
void estimator_period(struct estimator *est, uint64_t peak_bytes, double model_bytes);

/* The load as the predictor wants it, the drain's part left to the caller. */
void estimator_load(const struct estimator *est, struct queue_load *load);

/* Room above the use, for a space looked at every look_s by a guard. Grow when half is gone. */
double estimator_guarded_headroom(const struct estimator *est, double look_s, double factor,
				  double least_bytes);

/* The same for a space that nobody looks at for a period. */
double estimator_blind_headroom(const struct estimator *est, double period_s, double factor,
				double least_bytes);

/* Learn from a period without guard: did the space outgrow its headroom, or block? */
void estimator_track(struct estimator *est, bool short_of_room);

/*
 * Let the objective move eps, the rate at which blind headroom may fail. late: fraction of jobs
 * late for want of memory; allowed: what the objective allows; slack: ln(limit / p95 measured).
 */
void estimator_slo(struct estimator *est, double late, double allowed, double slack);

/* Nothing is known of the guest: back to the eps of a cold start. */
void estimator_forget_slo(struct estimator *est);

/*
 * At what rate the space pays memory back, bytes a second: what its drain delivers, at once 0 when
 * the drain stands still.
 */
double estimator_payback_bps(const struct estimator *est);

/* A size at which the space is safe unattended for hold_s. */
double estimator_failsafe(const struct estimator *est, uint64_t used_bytes, double model_q99,
			  double hold_s);
