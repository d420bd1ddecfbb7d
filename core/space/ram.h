/* The memory that spaces are made of: the host's, and its swap. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct ram {
	uint64_t total_bytes, available_bytes; /* /proc/meminfo: MemTotal, MemAvailable */
	uint64_t swap_bytes, swap_free_bytes;
};

/* What the kernel says now. 0 or -errno; -EPROTO where it does not say how much there is. */
int ram_read(struct ram *ram);

/*
 * The least of the limits that cgroups set to the memory of a process, in *bytes. What is written
 * into a space counts there, as memory of QEMU's, and beyond the limit the kernel kills QEMU. 1, 0
 * where there is no limit, or -errno.
 */
int ram_limit_of(pid_t pid, uint64_t *bytes);
