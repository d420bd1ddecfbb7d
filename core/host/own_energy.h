/*
 * What the server uses of the machine's energy (energy/consumer.h): its share, by CPU time, of what
 * the meter tells. Opened before rights are given up, and read once a second by worker 0.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/loop.h"
#include "energy/consumer.h"
#include "energy/meter.h"

struct own_energy {
	struct meter *meter; /* NULL: none */
	struct consumer consumer;
	struct energy used; /* since `since_ns` */
	int64_t since_ns, period_ns;
	struct loop *loop; /* NULL: not started */
	struct timer timer;
};

/* `options` NULL: none is wanted. 0 or -errno with *e; own_energy_close() takes what any left. */
int own_energy_open(struct own_energy *energy, const struct meter_options *options,
		    struct mn_error *e);
void own_energy_close(struct own_energy *energy);

/* Reads it in that loop from now on, and once more just now. */
void own_energy_start(struct own_energy *energy, struct loop *loop);
void own_energy_read(struct own_energy *energy);

/* Its figures, for so many bytes sent, in OpenMetrics text. */
void own_energy_print(const struct own_energy *energy, uint64_t sent_bytes, int64_t now_ns,
		      FILE *f);
