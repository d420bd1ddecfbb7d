#include "space/space.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/io.h"
#include "space/layout.h"
#include "space/openfile.h"

uint64_t space_inodes_default(uint64_t size_bytes)
{
	uint64_t inodes = size_bytes / 16384;

	return inodes < 16384 ? 16384 : inodes;
}

/* A folder to mount on, made through a writable mount of the pool. */
static int make_folder(int poolfd, const char *name, struct mn_error *e)
{
	cleanup_fd int fd = tmpfs_writable_clone(poolfd);

	if (fd < 0)
		return mn_fail_errno(e, -fd, "cannot write to the pool");
	if (mkdirat(fd, name, 0700) == 0 || errno == EEXIST)
		return 0;
	if (errno == ENOSPC)
		return mn_fail(e, MN_FAILED, ENOSPC,
			       "the pool has no room for one more space (destroy one)");
	return mn_fail_errno(e, errno, "cannot make its folder in the pool");
}

int space_create(int poolfd, const struct space_name *name, const struct tmpfs_options *o,
		 struct mn_error *e)
{
	cleanup_fd int fd = tmpfs_make(o, e);
	int err;

	if (fd < 0)
		return fd;
	err = space_prepare(fd);
	if (err)
		return mn_fail_errno(e, -err, "cannot make its reserved folders");
	err = make_folder(poolfd, name->space, e);
	return err ? err : tmpfs_place(fd, poolfd, name->space, e);
}

static int open_root(const struct space_info *info, struct mn_error *e)
{
	/* Not open(2): musl's sets O_CLOEXEC once more by a call of its own. */
	int fd = openat(AT_FDCWD, info->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? mn_fail_errno(e, errno, "%s", info->path) : fd;
}

int space_resize(const struct space_info *info, const struct tmpfs_options *o, struct mn_error *e)
{
	struct tmpfs_options allowed = *o;
	cleanup_fd int fd = open_root(info, e);

	allowed.huge = NULL;
	return fd < 0 ? fd : tmpfs_reconfigure(fd, &allowed, e);
}

int space_own(const struct space_info *info, uid_t uid, gid_t gid, struct mn_error *e)
{
	cleanup_fd int fd = open_root(info, e);
	int err;

	if (fd < 0)
		return fd;
	err = space_give(fd, uid, gid);
	return err ? mn_fail_errno(e, -err, "cannot give it to user %u", uid) : 0;
}

/* SPACE_RESERVED is in the root only: anywhere else it is a folder of the guest's. */
static bool reserved(const char *name, int depth)
{
	return (depth == 0 && strcmp(name, SPACE_RESERVED) == 0) ||
	       strcmp(name, SPACE_VIRTFS) == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* One look through a space: the path of what is looked at, as far as it fits, and the sums. */
struct walk {
	uint64_t limit;
	struct space_census *c;
	char path[sizeof(((struct space_census *)NULL)->first)];
};

static void count_object(struct walk *w, off_t size)
{
	if (w->c->objects++ == 0)
		strcpy(w->c->first, w->path);
	w->c->bytes += (uint64_t)size;
}

static int count_folder(struct walk *w, int dirfd_owned, int depth);

static int count_entry(struct walk *w, int dirfd_at, const char *name, int depth)
{
	struct stat st;
	int fd;

	if (fstatat(dirfd_at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* it has just gone */
	if (!S_ISDIR(st.st_mode) || depth == SPACE_DEPTH_MAX) {
		count_object(w, S_ISREG(st.st_mode) ? st.st_size : 0);
		return 0;
	}
	fd = confine_open(dirfd_at, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT)
		return 0;
	return fd < 0 ? fd : count_folder(w, fd, depth + 1);
}

/* Takes ownership of the descriptor. */
static int count_folder(struct walk *w, int dirfd_owned, int depth)
{
	cleanup_dir DIR *dir = fdopendir(dirfd_owned);
	size_t above = strlen(w->path);
	struct dirent *entry;
	int err = 0;

	if (!dir) {
		close(dirfd_owned);
		return -ENOMEM;
	}
	while (!err && (entry = readdir(dir))) {
		if (w->limit && w->c->objects >= w->limit)
			break;
		if (reserved(entry->d_name, depth))
			continue;
		snprintf(w->path + above, sizeof(w->path) - above, "%s%s", above ? "/" : "",
			 entry->d_name);
		err = count_entry(w, dirfd(dir), entry->d_name, depth);
		w->path[above] = '\0';
	}
	return err;
}

/* OWNER.N is an object being written (space/publish.h); OWNER alone is its writer's lock. */
static bool is_part(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot > name && dot[1] && dot[1 + strspn(dot + 1, "0123456789")] == '\0';
}

static void count_parts(int rootfd, struct space_census *c)
{
	int fd = confine_open(rootfd, SPACE_PART, O_RDONLY | O_DIRECTORY, 0);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (fd >= 0 && !dir)
		close(fd);
	while (dir && (entry = readdir(dir))) {
		if (!is_part(entry->d_name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		c->parts++;
		c->part_bytes += (uint64_t)st.st_size;
	}
}

/* Whether a folder has that many entries. Spares three quarters of a look at a space without
 * objects. */
static bool has_entries(int dirfd, const char *name, unsigned entries)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode) && st.st_size == SPACE_FOLDER_SIZE + (off_t)entries * 20;
}

int space_count(const struct space_info *info, uint64_t limit, struct space_census *census)
{
	struct walk w = {.limit = limit, .c = census};
	cleanup_fd int fd = open_root(info, NULL);

	*census = (struct space_census){0};
	if (fd < 0)
		return fd;
	if (!limit && has_entries(fd, SPACE_PART, 0)) {
		if (has_entries(fd, "", 1))
			return 0; /* it is the reserved folder */
	} else if (!limit) {
		count_parts(fd, census);
	}
	return count_folder(&w, STEAL_FD(fd), 0);
}

static bool process_holds(int procfd, const char *pid, dev_t device)
{
	const struct openfile any = {.device = device};
	char cwd[300];

	snprintf(cwd, sizeof(cwd), "%s/cwd", pid);
	return openfile_leads_to(procfd, cwd, &any) || openfile_held(procfd, pid, &any) == 1;
}

void space_holder(const struct space_info *info, char *buf, size_t size)
{
	cleanup_dir DIR *proc = opendir("/proc");
	struct dirent *entry;

	buf[0] = '\0';
	while (proc && (entry = readdir(proc))) {
		char path[300], name[32];

		if (!openfile_is_other(entry->d_name) ||
		    !process_holds(dirfd(proc), entry->d_name, info->device))
			continue;
		snprintf(path, sizeof(path), "%s/comm", entry->d_name);
		if (io_read_file(dirfd(proc), path, name, sizeof(name)) < 0)
			continue;
		name[strcspn(name, "\n")] = '\0';
		snprintf(buf, size, "%s, process %.10s", name, entry->d_name);
		return;
	}
}

static int fail_open(const struct space_info *info, struct mn_error *e)
{
	char holder[64];

	space_holder(info, holder, sizeof(holder));
	return mn_fail(e, MN_BUSY, EBUSY,
		       "a file in it is open%s%s (let the job or reader finish, or --force)",
		       *holder ? ", by " : "", holder);
}

static int fail_holds(const struct space_census *c, struct mn_error *e)
{
	return mn_fail(e, MN_REFUSED, ENOTEMPTY,
		       "it still holds objects, such as %.200s (release them, or --force)",
		       c->first);
}

static int unmount(const struct space_info *info, bool force, struct mn_error *e)
{
	int err = tmpfs_unmount(info->path, force);

	if (err == -EBUSY)
		return fail_open(info, e);
	return err ? mn_fail_errno(e, -err, "cannot unmount %s", info->path) : 0;
}

/*
 * Frozen first: the kernel refuses that while anybody writes, and nobody begins to write from then
 * on, so that what is counted is what is there at the end. Killed here, it leaves the space frozen
 * and whole; a new destroy goes on, a resize thaws.
 */
static int unmount_empty(const struct space_info *info, struct mn_error *e)
{
	struct space_census c;
	cleanup_fd int fd = open_root(info, e);
	int err;

	if (fd < 0)
		return fd;
	err = tmpfs_freeze(fd, e);
	if (err)
		return err == -EBUSY ? fail_open(info, e) : err;
	err = space_count(info, 1, &c);
	if (!err && c.objects)
		err = fail_holds(&c, e);
	else if (err)
		mn_fail_errno(e, -err, "cannot look into it");
	else {
		int rootfd = STEAL_FD(fd);

		close(rootfd); /* or we would be who keeps it busy */
		err = unmount(info, false, e);
		if (!err)
			return 0;
		fd = open_root(info, NULL);
	}
	if (fd >= 0)
		tmpfs_thaw(fd, NULL);
	return err;
}

/* Not between the freeze and its end: the guest's jobs would fail until somebody resizes it. */
static int unmount_undisturbed(const struct space_info *info, struct mn_error *e)
{
	sigset_t stop, before;
	int err;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &stop, &before);
	err = unmount_empty(info, e);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

int space_destroy(const struct space_info *info, bool force, struct mn_error *e)
{
	cleanup_fd int poolfd = -1, fd = -1;
	char folder[PATH_MAX];
	int err = force ? unmount(info, true, e) : unmount_undisturbed(info, e);

	if (err)
		return err;
	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(info->path, '/') - info->path),
		 info->path);
	poolfd = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	fd = poolfd < 0 ? -1 : tmpfs_writable_clone(poolfd);
	/* An empty folder left behind does no harm: create takes it, pool_remove() drops it. */
	if (fd >= 0)
		unlinkat(fd, info->name.space, AT_REMOVEDIR);
	return 0;
}
