/*
 * An amount of energy, which always says where it is from.
 *
 * A figure that nobody measured must not look like one that somebody did, and least of all like
 * "nothing was used". So joules never travel alone: what could not be had is NAN, not 0, and stays
 * NAN in whatever is worked out from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From the worst to the best. */
enum energy_source {
	ENERGY_NONE,
	ENERGY_MODEL, /* stated watts times time: energy/model.h */
	ENERGY_PERF,  /* the processor's counters through perf's power PMU: energy/perf.h */
	ENERGY_RAPL,  /* the same through powercap: energy/rapl.h */
};
#define ENERGY_SOURCES 4

struct energy {
	double joules; /* NAN: unknown, and always so with ENERGY_NONE */
	enum energy_source source;
	bool estimated;	   /* a part of what the source says, by CPU time: energy/consumer.h */
	unsigned int gaps; /* above 0 it is partial: so often something could not be counted */
};

#define ENERGY_UNKNOWN ((struct energy){.joules = __builtin_nan(""), .source = ENERGY_NONE})

/* "none", "model", "perf", "rapl": in output, in configuration and as a metric's label. */
const char *energy_source_name(enum energy_source source);

/* 0, or -EINVAL where no source is called so. */
int energy_source_parse(const char *name, enum energy_source *source);

/* "12.3 J (rapl)", "0.41 J (model, estimated, partial)", "unknown (none)"; 64 bytes do. */
const char *energy_format(struct energy energy, char *buf, size_t size);

/*
 * What was used between two readings of one meter, `before` being the older, with the gaps there
 * were between them. Unknown where either is.
 */
struct energy energy_between(struct energy before, struct energy now);

/*
 * Joules for each of `count`; what it says of its source stays. NAN where count is not above 0:
 * energy used for nothing at all has no figure.
 */
struct energy energy_per(struct energy total, double count);

/* For each gigabyte (1e9 bytes) sent. */
struct energy energy_per_gigabyte(struct energy total, uint64_t bytes);

/*
 * For each client of 2 Mbit/s, all of `seconds` long, with as many clients as the bytes sent would
 * have fed: the paper's figure 11, which divides the energy used by that number.
 */
#define ENERGY_CLIENT_BPS 2e6 /* bits per second */
struct energy energy_per_client(struct energy total, uint64_t bytes, double seconds);

/* The number of clients that is; 0 where seconds is not above 0. */
double energy_clients(uint64_t bytes, double seconds);
