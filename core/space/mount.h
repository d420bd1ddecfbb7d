/*
 * The guest's side of the pool's device: finding it and mounting it.
 *
 * msize=512000 is the most that virtio-9p takes; the default costs 5 to 50 times the time. cache is
 * none or mmap and nothing else: with loose or fscache, write(2) answers success for bytes that a
 * full space then does not take, and they are lost without a word. Without noxattr (Linux 6.4;
 * older ones take no notice of it) each write since Linux 6.8 asks first for the file's
 * capabilities, a message of 9p as the write is one.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

#define MOUNT_MSIZE 512000

/* The options of the mount, in `options`; `cache` is "none" or "mmap". */
#define MOUNT_OPTIONS_MAX 96
void mount_options(const char *cache, char options[MOUNT_OPTIONS_MAX]);

/*
 * Mounts the 9p device with the tag `tag` on `dir` (made if need be), waiting for the device until
 * deadline_ns; `cache` is "none" or "mmap". 0, also where it is mounted there already; -ETIMEDOUT
 * with MN_TIMEOUT when no such device came, with what is missing; -EBUSY with MN_BUSY when the
 * device is mounted elsewhere; or -errno.
 */
int mount_pool_device(const char *tag, const char *dir, const char *cache, int64_t deadline_ns,
		      struct mn_error *e);

/* Unmounts a 9p file system from `dir`. 0, also where there is none; -EBUSY with MN_BUSY; -errno.
 */
int mount_release(const char *dir, struct mn_error *e);
