/* mount and umount: the verbs for the guest. */
#include "cmd/share.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "space/layout.h"
#include "space/mount.h"

#define MOUNT_WAIT_NS (10 * NS_PER_S)

static int check_cache(const char *cache, struct mn_error *e)
{
	if (strcmp(cache, "none") == 0 || strcmp(cache, "mmap") == 0)
		return 0;
	if (strcmp(cache, "loose") == 0 || strcmp(cache, "fscache") == 0)
		return mn_fail(
			e, MN_REFUSED, EINVAL,
			"cache=%s: loses written data without an error when the space is full "
			"(use none, or mmap for MAP_SHARED)",
			cache);
	return mn_fail(e, MN_USAGE, EINVAL, "bad --cache \"%.32s\": want none or mmap", cache);
}

int share_mount(struct invocation *inv)
{
	struct share s;
	const char *tag, *dir, *cache;

	if (share_options(&s, inv) || opts_operands(inv, 0, 2))
		return command_fail(inv);
	tag = inv->operand_count > 0 ? inv->operands[0] : SPACE_TAG;
	dir = inv->operand_count > 1 ? inv->operands[1] : SPACE_MOUNT_DIR;
	cache = s.cache ? s.cache : "none";
	if (strlen(tag) > 31)
		mn_fail(&inv->error, MN_USAGE, EINVAL, "bad tag \"%.40s\": it has at most 31 bytes",
			tag);
	else if (check_cache(cache, &inv->error) == 0) {
		if (inv->common.dry_run) {
			printf("would mount %s on %s\n", tag, dir);
			return MN_OK;
		}
		if (mount_pool_device(tag, dir, cache,
				      clock_ns() + (s.wait_ns < 0 ? MOUNT_WAIT_NS : s.wait_ns),
				      &inv->error) == 0)
			return MN_OK;
	}
	return command_fail(inv);
}

int share_umount(struct invocation *inv)
{
	struct share s;
	const char *dir;

	if (share_options(&s, inv) || opts_operands(inv, 0, 1))
		return command_fail(inv);
	dir = inv->operand_count > 0 ? inv->operands[0] : SPACE_MOUNT_DIR;
	if (inv->common.dry_run) {
		printf("would unmount %s\n", dir);
		return MN_OK;
	}
	return mount_release(dir, &inv->error) ? command_fail(inv) : MN_OK;
}
