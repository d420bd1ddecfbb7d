/*
 * What the loop of `memnet tune` knows of the host it runs on, its VMs and its network: CPU time of
 * the vCPUs, memory, the uplink, the streams' connections, energy. Looked at once a period.
 */
#pragma once

#include <stdint.h>

struct tuner;

/* For the configuration that it has. What is not there is told of once, and done without. */
void tuner_host_open(struct tuner *tuner);
void tuner_host_close(struct tuner *tuner);

/* After a period's decisions. */
void tuner_host_look(struct tuner *tuner, int64_t now_ns);

/* Energy, and what it was used for: before the decisions are told, which have it. */
void tuner_host_count(struct tuner *tuner);

/* VMs that stay keep their vCPUs' times and their energy; `from` has that no more. */
void tuner_host_inherit(struct tuner *tuner, struct tuner *from);
