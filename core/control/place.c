#include "control/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"

int place_init(struct place *place, const char *runtime_dir, const struct space_name *name)
{
	int n;

	memset(place, 0, sizeof(*place));
	place->info.name = *name;
	n = snprintf(place->info.path, sizeof(place->info.path), "%s/%s/%s", runtime_dir, name->vm,
		     name->space);
	return n < 0 || (size_t)n >= sizeof(place->info.path) ? -ENAMETOOLONG : 0;
}

/* Whether something is mounted on the folder: the one it lies in is on another device then. */
static bool is_mount(const char *path, dev_t device)
{
	char above[PATH_MAX];
	struct stat st;

	snprintf(above, sizeof(above), "%.*s", (int)(strrchr(path, '/') - path), path);
	return stat(above, &st) == 0 && st.st_dev != device;
}

static bool take_figures(struct space_info *info)
{
	struct statfs v;

	if (statfs(info->path, &v) < 0 || v.f_type != TMPFS_MAGIC)
		return false;
	info->size_bytes = (uint64_t)v.f_blocks * (uint64_t)v.f_bsize;
	info->used_bytes = (uint64_t)(v.f_blocks - v.f_bfree) * (uint64_t)v.f_bsize;
	return true;
}

enum place_state place_look(struct place *place)
{
	struct space_info *info = &place->info;
	bool was = place->present;
	struct stat st;

	place->present = false;
	if (stat(info->path, &st) < 0 || !S_ISDIR(st.st_mode))
		return PLACE_ABSENT;
	was = was && st.st_dev == info->device && st.st_ino == place->inode;
	if ((!was && !is_mount(info->path, st.st_dev)) || !take_figures(info))
		return PLACE_ABSENT;
	info->device = st.st_dev;
	place->inode = st.st_ino;
	place->present = true;
	return was ? PLACE_SAME : PLACE_NEW;
}

void place_forget(struct place *place)
{
	place->present = false;
}

int place_open(const struct place *place)
{
	cleanup_fd int fd = open(place->info.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!place->present || st.st_dev != place->info.device)
		return -ENOENT;
	return STEAL_FD(fd);
}
