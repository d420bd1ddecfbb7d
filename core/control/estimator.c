/*
 * Theory. Jobs arrive as a Poisson stream and none waits for another (M/G/inf): each puts one
 * object into the space, which grows for P seconds and then stays until delivered, L seconds
 * longer. Occupancy is then shot noise, the sum of independent pulses, with
 *
 *	mean = lambda E[integral of a pulse]		(Campbell)
 *	var  = lambda E[integral of its square].
 *
 * A pulse that rises to S in P and stays for L has the integrals S (P/2 + L) and S^2 (P/3 + L).
 * The drain is shared: n = ceil(d / r) clients run at their own rate r before they slow each other
 * down, so a delivery takes f = 1 + C / ((d/r) (1 - rho)) times longer on average, C being the
 * chance that all are busy (M/G/R processor sharing, Lindberger). Slow spells come together, which
 * adds variance: with probability C the excess m_x is 1/C times its mean, exponentially spread.
 *
 * The sum is near a Gamma variable; Wilson and Hilferty's cube root gives its quantiles.
 */
#include "control/estimator.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define RESIDUAL_FORGET 0.98
#define PEAK_FADE_S	15.0
#define EPS_MIN		0.005
#define EPS_MAX		0.07
#define SERVERS_MAX	100000

void queue_load_lognormal(struct queue_load *load, double mean_bytes, double cv)
{
	double spread = 1 + cv * cv;

	load->size_mean = mean_bytes;
	load->size_square = mean_bytes * mean_bytes * spread;
	load->size_cube = mean_bytes * mean_bytes * mean_bytes * spread * spread * spread;
}

double queue_erlang_c(unsigned int n, double a)
{
	double b = 1;

	if (a >= n)
		return 1;
	for (unsigned int k = 1; k <= n; k++)
		b = a * b / (k + a * b);
	return n * b / (n - a * (1 - b));
}

/* Integral over one pulse, and over its square, with all deliveries stretched by f. */
static void pulse_integrals(const struct queue_load *load, double f, double *first, double *second)
{
	double work = load->work_bps > 0 ? 1 / load->work_bps : 0;
	double drain = load->client_bps > 0 ? f / load->client_bps : 0;
	double linger = fmax(0, drain - work);

	if (load->punched) {
		double rise = drain > 0 ? fmax(0, 1 - work / drain) : 0;

		*first = load->size_square * rise * drain / 2;
		*second = load->size_cube * rise * rise * drain / 3;
		return;
	}
	*first = load->size_square * (work / 2 + linger) + load->size_mean * load->ttl_s;
	*second = load->size_cube * (work / 3 + linger) + load->size_square * load->ttl_s;
}

static unsigned int doubts_of(const struct queue_load *load, double rho)
{
	double cv2 = load->size_square / (load->size_mean * load->size_mean) - 1;
	unsigned int doubts = 0;

	if (rho >= 1)
		doubts |= QUEUE_OVERLOADED;
	if (rho > 0.85)
		doubts |= QUEUE_BUSY_DRAIN;
	if (load->drain_bps > 0 && load->client_bps > load->drain_bps / 3)
		doubts |= QUEUE_FEW_CLIENTS;
	if (cv2 > 2.25)
		doubts |= QUEUE_HEAVY_TAIL;
	return doubts;
}

/* How much longer deliveries take for being many; *busy: the chance that they slow down at all. */
static double stretch_of(const struct queue_load *load, double rho, double *busy)
{
	double clients;

	*busy = 0;
	if (load->drain_bps <= 0 || load->client_bps <= 0)
		return 1;
	clients = fmax(1, load->drain_bps / load->client_bps);
	if (clients > SERVERS_MAX)
		return 1;
	*busy = queue_erlang_c((unsigned int)ceil(clients), ceil(clients) * rho);
	return 1 + *busy / (clients * (1 - rho));
}

int queue_predict(const struct queue_load *load, struct queue_prediction *prediction)
{
	double alone1, alone2, first, second, busy, excess, spread;

	memset(prediction, 0, sizeof(*prediction));
	if (!(load->lambda >= 0) || !(load->size_mean > 0) || !(load->size_square > 0) ||
	    !(load->size_cube > 0) || !(load->ttl_s >= 0) || !(load->work_bps >= 0) ||
	    !(load->drain_bps >= 0) || !(load->client_bps >= 0))
		return -EINVAL;
	if (load->drain_bps > 0)
		prediction->rho = load->lambda * load->size_mean / load->drain_bps;
	prediction->doubts = doubts_of(load, prediction->rho);
	if (prediction->doubts & QUEUE_OVERLOADED)
		return -ERANGE;
	prediction->stretch = stretch_of(load, prediction->rho, &busy);
	pulse_integrals(load, 1, &alone1, &alone2);
	pulse_integrals(load, prediction->stretch, &first, &second);
	excess = load->lambda * (first - alone1);
	spread = load->lambda * alone2;
	if (busy > 0)
		spread += excess * excess * (2 / busy - 1);
	prediction->mean_bytes = load->lambda * first;
	prediction->sd_bytes = sqrt(fmax(load->lambda * prediction->stretch * second, spread));
	return 0;
}

double queue_quantile(const struct queue_prediction *prediction, double z)
{
	double ratio, root;

	if (prediction->mean_bytes <= 0)
		return 0;
	ratio = prediction->sd_bytes / prediction->mean_bytes;
	ratio = ratio * ratio / 9; /* 1 / (9 k), k the Gamma's shape */
	root = 1 - ratio + z * sqrt(ratio);
	return root > 0 ? prediction->mean_bytes * root * root * root : 0;
}

void estimator_init(struct estimator *est)
{
	memset(est, 0, sizeof(*est));
	est->residual_gain = 1;
	est->theta = 1;
	est->eps = EPS_MAX;
}

/* An exponential average whose first samples count fully, so that it starts without a lag. */
static double average(double old, double sample, double dt_s, double tau_s, double age_s)
{
	double tau = fmin(tau_s, age_s);

	return tau > dt_s ? old + (sample - old) * dt_s / tau : sample;
}

static void learn_sizes(struct estimator *est, const struct estimator_interval *seen)
{
	double weight;

	if (!seen->completed)
		return;
	est->completed = fmin(est->completed + seen->completed, 200);
	weight = fmin(1, seen->completed / est->completed);
	est->size_mean += weight * (seen->completed_bytes / seen->completed - est->size_mean);
	est->size_square += weight * (seen->completed_bytes2 / seen->completed - est->size_square);
}

void estimator_observe(struct estimator *est, const struct estimator_interval *seen)
{
	double dt = seen->dt_s, age, drained;

	if (!(dt > 0))
		return;
	drained = (double)seen->delivered_bytes / dt;
	age = est->age_s += dt;
	est->inflow_peak_bps = fmax((double)seen->inflow_bytes / dt,
				    est->inflow_peak_bps * exp(-dt / PEAK_FADE_S));
	est->inflow_bps = average(est->inflow_bps, (double)seen->inflow_bytes / dt, dt, 20, age);
	est->drained_2s = average(est->drained_2s, drained, dt, 2, age);
	est->drained_20s = average(est->drained_20s, drained, dt, 20, age);
	est->starts_10s = average(est->starts_10s, seen->started / dt, dt, 10, age);
	est->starts_60s = average(est->starts_60s, seen->started / dt, dt, 60, age);
	est->cpu_busy = average(est->cpu_busy, seen->cpu_busy, dt, 20, age);
	est->writers = seen->growing;
	est->growing = average(est->growing, seen->growing, dt, 20, age);
	learn_sizes(est, seen);
}

static uint64_t highest_peak(const struct estimator *est)
{
	unsigned int n = est->npeaks < ESTIMATOR_PEAKS ? est->npeaks : ESTIMATOR_PEAKS;
	uint64_t highest = 0;

	for (unsigned int i = 0; i < n; i++)
		if (est->peak_bytes[i] > highest)
			highest = est->peak_bytes[i];
	return highest;
}

void estimator_period(struct estimator *est, uint64_t peak_bytes, double model_bytes)
{
	double error;

	est->peak_bytes[est->npeaks++ % ESTIMATOR_PEAKS] = peak_bytes;
	if (model_bytes <= 0 || est->npeaks < ESTIMATOR_PEAKS || !highest_peak(est))
		return;
	error = log((double)highest_peak(est) / model_bytes) - est->residual;
	est->residual_gain /= RESIDUAL_FORGET + est->residual_gain;
	est->residual += est->residual_gain * error;
}

void estimator_load(const struct estimator *est, struct queue_load *load)
{
	double cv2 = 0;

	memset(load, 0, sizeof(*load));
	load->lambda = est->starts_60s;
	if (est->size_mean > 0)
		cv2 = fmax(0, est->size_square / (est->size_mean * est->size_mean) - 1);
	queue_load_lognormal(load, est->size_mean, sqrt(cv2));
	if (est->growing > 0.01)
		load->work_bps = est->inflow_bps / est->growing;
}

double estimator_guarded_headroom(const struct estimator *est, double look_s, double factor,
				  double least_bytes)
{
	return fmax(least_bytes, factor * est->inflow_peak_bps * 2 * look_s);
}

double estimator_blind_headroom(const struct estimator *est, double period_s, double factor,
				double least_bytes)
{
	double most = factor * est->inflow_peak_bps * period_s + least_bytes;
	double starts = fmax(est->starts_10s, est->starts_60s) * period_s;
	double writer_bps = est->growing > 0.01 ? est->inflow_bps / est->growing : 0;
	double room = est->writers * writer_bps * period_s + 0.5 * sqrt(starts * est->size_square);

	/* What grows now goes on growing, and others may start. theta makes the sum a quantile. */
	return fmin(most, fmax(est->theta * room, fmax(least_bytes, 0.15 * most)));
}

static double clip(double x, double low, double high)
{
	return fmin(high, fmax(low, x));
}

void estimator_track(struct estimator *est, bool short_of_room)
{
	est->theta = clip(est->theta * exp(0.15 * (short_of_room - est->eps)), 0.25, 6);
}

void estimator_slo(struct estimator *est, double late, double allowed, double slack)
{
	double error = log((late + 0.005) / (0.5 * allowed + 0.005));
	double step = error > 0 ? -0.5 * error : 0.02 * slack;

	est->eps = clip(est->eps * exp(step), EPS_MIN, EPS_MAX);
}

void estimator_forget_slo(struct estimator *est)
{
	est->eps = EPS_MAX;
}

double estimator_payback_bps(const struct estimator *est)
{
	return fmin(est->drained_20s, 2 * est->drained_2s);
}

double estimator_failsafe(const struct estimator *est, uint64_t used_bytes, double model_q99,
			  double hold_s)
{
	return fmax(model_q99 * exp(fmax(est->residual, 0)),
		    (double)used_bytes + hold_s * est->inflow_peak_bps);
}
