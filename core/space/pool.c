#include "space/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/lock.h"
#include "space/inventory.h"
#include "space/mountinfo.h"
#include "space/tmpfs.h"

/* The pool's own tmpfs holds folders only, one a space. */
#define POOL_SPACES_MAX 4096
#define POOL_SIZE	(64 * 1024)

int pool_path(const char *runtime_dir, const char *vm, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", runtime_dir, vm);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int pool_monitor_path(const char *runtime_dir, const char *vm, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/.qmp/%s.sock", runtime_dir, vm);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* What to do where a folder or a lock cannot be made. */
static int fail_make(const char *path, int err, struct mn_error *e)
{
	if (err == EACCES || err == EPERM || err == EROFS)
		return mn_fail(e, MN_FAILED, err,
			       "cannot make %s: %s (run as root, or set --runtime-dir)", path,
			       strerror(err));
	if (err == ENOSPC)
		return mn_fail(e, MN_FAILED, err,
			       "cannot make %s: no room there (see what fills it: df -i %.*s)",
			       path, (int)(strrchr(path, '/') - path), path);
	return mn_fail_errno(e, err, "cannot make %s", path);
}

static int make_folder(const char *runtime_dir, const char *name, mode_t mode, struct mn_error *e)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s%s", runtime_dir, name);

	if (n < 0 || n >= PATH_MAX)
		return mn_fail_errno(e, ENAMETOOLONG, "%.64s…", runtime_dir);
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	return fail_make(path, errno, e);
}

int pool_runtime_make(const char *runtime_dir, struct mn_error *e)
{
	int err;

	if (strlen(runtime_dir) + 2 * sizeof(((struct space_name *)NULL)->vm) >= SPACE_PATH_MAX)
		return mn_fail(e, MN_USAGE, ENAMETOOLONG,
			       "the run-time folder %.64s… has too long a name", runtime_dir);
	/* QEMU's user passes through, and may not look around. */
	err = make_folder(runtime_dir, "", 0711, e);
	if (!err)
		err = make_folder(runtime_dir, "/.qmp", 0711, e);
	if (!err)
		err = make_folder(runtime_dir, "/.lock", 0700, e);
	return err;
}

int pool_lock(const char *runtime_dir, const char *vm, int64_t wait_ns, struct mn_error *e)
{
	char path[PATH_MAX];
	int n, err = pool_runtime_make(runtime_dir, e);

	if (err)
		return err;
	n = snprintf(path, sizeof(path), "%s/.lock/%s", runtime_dir, vm);
	if (n < 0 || n >= PATH_MAX)
		return mn_fail_errno(e, ENAMETOOLONG, "%.64s…", runtime_dir);
	err = lock_acquire(path, wait_ns, e);
	return err == -EACCES || err == -ENOSPC ? fail_make(path, -err, e) : err;
}

struct pool_search {
	const char *path;
	bool mounted, ours; /* of the upper one, where several are on one folder */
};

static int match_pool(struct mountinfo *m, void *context)
{
	struct pool_search *s = context;

	if (strcmp(m->path, s->path) == 0) {
		s->mounted = true;
		s->ours = mountinfo_is_ours(m);
	}
	return 0;
}

/* 1 if the pool is mounted, 0 if nothing is, -EEXIST if it is something else; -errno. */
static int look_for_pool(const char *runtime_dir, const char *vm)
{
	cleanup_free char *root = realpath(runtime_dir, NULL);
	char path[PATH_MAX];
	struct pool_search s = {.path = path};
	int err = 0;

	if (!root)
		return errno == ENOENT ? 0 : -errno;
	err = pool_path(root, vm, path);
	if (!err)
		err = mountinfo_each(match_pool, &s);
	if (err)
		return err;
	return s.mounted && !s.ours ? -EEXIST : s.ours;
}

bool pool_mounted(const char *runtime_dir, const char *vm)
{
	return look_for_pool(runtime_dir, vm) == 1;
}

static int own(int rootfd, uid_t uid, gid_t gid)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (fstat(rootfd, &st) < 0)
		return -errno;
	if (st.st_uid == uid && st.st_gid == gid)
		return 0;
	fd = tmpfs_writable_clone(rootfd);
	if (fd < 0)
		return fd;
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int open_pool(const char *path, struct mn_error *e)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? mn_fail_errno(e, errno, "%s", path) : fd;
}

static int mount_pool(const char *path, uid_t uid, gid_t gid, struct mn_error *e)
{
	const struct tmpfs_options o = {
		.size_bytes = POOL_SIZE,
		.inodes = POOL_SPACES_MAX,
		.uid = uid,
		.gid = gid,
		.mode = 0755,
	};
	cleanup_fd int mountfd = -1;
	int err;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return fail_make(path, errno, e);
	mountfd = tmpfs_make(&o, e);
	if (mountfd < 0)
		return mountfd;
	err = tmpfs_protect(mountfd);
	if (err)
		return mn_fail_errno(e, -err, "cannot make the pool read-only");
	return tmpfs_place(mountfd, AT_FDCWD, path, e);
}

/* Whether the pool is still to be mounted: 1, 0, or -errno. Never a second one over the spaces. */
static int need_mount(const char *runtime_dir, const char *vm, const char *path, struct mn_error *e)
{
	int found = look_for_pool(runtime_dir, vm);

	if (found == -EEXIST)
		return mn_fail(e, MN_BUSY, EEXIST,
			       "%s: another file system is mounted there (umount it, or set "
			       "--runtime-dir)",
			       path);
	return found < 0 ? mn_fail_errno(e, -found, "%s", path) : !found;
}

int pool_make(const char *runtime_dir, const char *vm, uid_t uid, gid_t gid, struct mn_error *e)
{
	cleanup_fd int fd = -1;
	char path[PATH_MAX];
	int err = pool_runtime_make(runtime_dir, e);

	if (!err && pool_path(runtime_dir, vm, path))
		err = mn_fail_errno(e, ENAMETOOLONG, "%.64s…", runtime_dir);
	if (!err)
		err = need_mount(runtime_dir, vm, path, e);
	if (err > 0)
		err = mount_pool(path, uid, gid, e);
	if (err)
		return err;
	fd = open_pool(path, e);
	if (fd < 0)
		return fd;
	err = own(fd, uid, gid);
	if (err)
		return mn_fail_errno(e, -err, "%s: cannot give it to user %u", path, uid);
	return STEAL_FD(fd);
}

static int count_of_vm(const struct space_info *info, void *context)
{
	return strcmp(info->name.vm, context) == 0 ? 1 : 0;
}

int pool_remove(const char *runtime_dir, const char *vm)
{
	char path[PATH_MAX];
	int err = inventory_each(runtime_dir, count_of_vm, (void *)(uintptr_t)vm);

	if (err)
		return err < 0 ? err : -EBUSY;
	err = pool_path(runtime_dir, vm, path);
	if (!err)
		err = look_for_pool(runtime_dir, vm);
	if (err > 0)
		err = tmpfs_unmount(path, false);
	if (err)
		return err;
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* The pools of one pass through mountinfo, and which of them have a space. */
struct pool_names {
	const char *root;
	struct {
		char vm[NAME_PART_MAX + 1];
		bool in_use;
	} pools[256]; /* more are left to another time */
	size_t count;
};

static int note_pool(struct mountinfo *m, void *context)
{
	struct pool_names *p = context;
	size_t len = strlen(p->root), i = 0;
	char *vm = m->path + len + 1, *slash;

	if (!mountinfo_is_ours(m) || strncmp(m->path, p->root, len) != 0 || m->path[len] != '/')
		return 0;
	slash = strchr(vm, '/');
	if (slash)
		*slash = '\0';
	if (!name_part_valid(vm))
		return 0;
	while (i < p->count && strcmp(p->pools[i].vm, vm) != 0)
		i++;
	if (i == sizeof(p->pools) / sizeof(*p->pools))
		return 0;
	if (i == p->count) {
		strcpy(p->pools[i].vm, vm);
		p->pools[i].in_use = false;
		p->count++;
	}
	p->pools[i].in_use |= slash != NULL;
	return 0;
}

void pool_sweep(const char *runtime_dir)
{
	cleanup_free char *root = realpath(runtime_dir, NULL);
	cleanup_free struct pool_names *p = calloc(1, sizeof(*p));

	if (!root || !p)
		return;
	p->root = root;
	mountinfo_each(note_pool, p);
	for (size_t i = 0; i < p->count; i++) {
		cleanup_fd int lock = -1;

		if (p->pools[i].in_use)
			continue;
		lock = pool_lock(runtime_dir, p->pools[i].vm, 0, NULL);
		if (lock >= 0)
			pool_remove(runtime_dir, p->pools[i].vm);
	}
}

int pool_owner(const char *runtime_dir, const char *vm, uid_t *uid, gid_t *gid)
{
	char path[PATH_MAX];
	struct stat st;

	if (!pool_mounted(runtime_dir, vm) || pool_path(runtime_dir, vm, path) ||
	    stat(path, &st) < 0)
		return -ENOENT;
	*uid = st.st_uid;
	*gid = st.st_gid;
	return 0;
}
