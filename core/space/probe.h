/* What the running kernel can do for spaces. */
#pragma once

#include <stdbool.h>

/*
 * Whether files on a tmpfs take user.* attributes (Linux 6.6), in which QEMU's mapped-xattr keeps
 * the guest's owners and modes. Where they do not, mapped-file keeps them in files.
 */
bool probe_user_xattr(void);

/* Whether a tmpfs can be told not to swap (Linux 6.4). */
bool probe_noswap(void);

/* Whether a tmpfs takes huge=within_size: not where the kernel has no huge pages. */
bool probe_huge(void);

/* Whether the mount API of descriptors is there, and may be used. 0 or -errno. */
int probe_mount_api(void);
