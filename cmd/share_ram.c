/* What create and resize say of a size that the host's memory does not have. */
#include "cmd/share.h"

#include <errno.h>

#include "base/log.h"
#include "cmd/options.h"
#include "space/ram.h"

static int refuse(struct share *s, uint64_t limit, const char *of)
{
	char object[2 * NAME_PART_MAX + 2], a[16], b[16];

	return mn_fail(&s->inv->error, MN_FAILED, ENOMEM,
		       "%s: %s are more than all of the host's %s, %s (a smaller size, or --force)",
		       share_object(s, object), format_size(s->tmpfs.size_bytes, a), of,
		       format_size(limit, b));
}

/* Of more than is free, or else of a sum of sizes that is more than there is. */
static void warn(const struct share *s, const struct space_info *info, uint64_t free,
		 uint64_t limit)
{
	char object[2 * NAME_PART_MAX + 2], a[16], b[16];
	uint64_t size = s->tmpfs.size_bytes, used = info->used_bytes;
	uint64_t more = size > used ? size - used : 0;
	uint64_t sum = info->all_bytes - info->size_bytes + size;

	if (more > free)
		log_warn("%s: warning: it may take %s more, and the host has %s free",
			 share_object(s, object), format_size(more, a), format_size(free, b));
	else if (sum > limit)
		log_warn("%s: warning: all spaces together may take %s, and the host has %s",
			 share_object(s, object), format_size(sum, a), format_size(limit, b));
}

int share_check_ram(struct share *s, const struct space_info *info)
{
	uint64_t limit;
	struct ram ram;

	if (ram_read(&ram))
		return 0; /* no reason to make no space */
	if (info->noswap || s->tmpfs.noswap)
		ram.swap_bytes = ram.swap_free_bytes = 0;
	limit = ram.total_bytes + ram.swap_bytes;
	if (s->tmpfs.size_bytes > limit && !s->force)
		return refuse(s, limit, ram.swap_bytes ? "memory and swap" : "memory");
	warn(s, info, ram.available_bytes + ram.swap_free_bytes, limit);
	return 0;
}

void share_warn_limit(const struct share *s, pid_t qemu)
{
	char object[2 * NAME_PART_MAX + 2], a[16];
	uint64_t limit;

	if (ram_limit_of(qemu, &limit) == 1 && s->tmpfs.size_bytes >= limit)
		log_warn("%s: warning: QEMU's cgroup is limited to %s, and is killed when what "
			 "the guest writes exceeds that",
			 share_object(s, object), format_size(limit, a));
}
