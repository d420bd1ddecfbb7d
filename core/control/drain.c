#include "control/drain.h"

#include <math.h>

#define SAMPLE_S 1.0
#define FADE_S	 120.0
#define MEAN_S	 20.0

static double towards(double value, double sample, double part)
{
	return value > 0 ? value + (sample - value) * part : sample;
}

static void take_sample(struct drain *d)
{
	double sample = d->bytes / d->window_s, each = d->bytes / d->client_s;

	d->bps = towards(d->bps, sample, sample > d->bps ? 0.5 : 1 - exp(-d->window_s / FADE_S));
	d->client_bps = towards(d->client_bps, each, 1 - exp(-d->window_s / MEAN_S));
	d->window_s = d->bytes = d->client_s = 0;
}

void drain_take(struct drain *d, uint64_t sent_bytes, uint64_t clients, double dt_s)
{
	if (!clients || !(dt_s > 0))
		return;
	d->window_s += dt_s;
	d->bytes += (double)sent_bytes;
	d->client_s += (double)clients * dt_s;
	if (d->window_s >= SAMPLE_S)
		take_sample(d);
}
