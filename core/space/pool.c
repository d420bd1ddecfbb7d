#include "space/pool.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/lock.h"
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

/* Reading mountinfo: proc_pid_mountinfo(5). */

/* Octal escapes \ooo in place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && isdigit((unsigned char)from[1])) {
			*to = (char)strtol((char[]){from[1], from[2], from[3], 0}, NULL, 8);
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* One line's fields that matter here; they point into the line. */
struct mount_line {
	unsigned major, minor;
	char *path, *type, *options; /* the options of the file system, not of the mount */
};

static int parse_mount_line(char *line, struct mount_line *m)
{
	char *fields[6], *save = NULL, *word = strtok_r(line, " ", &save);

	for (int i = 0; i < 6; i++, word = strtok_r(NULL, " ", &save)) {
		if (!word)
			return -EINVAL;
		fields[i] = word;
	}
	while (word && strcmp(word, "-") != 0)
		word = strtok_r(NULL, " ", &save);
	m->type = strtok_r(NULL, " ", &save);
	(void)strtok_r(NULL, " ", &save); /* the source */
	m->options = strtok_r(NULL, " \n", &save);
	if (!m->options || sscanf(fields[2], "%u:%u", &m->major, &m->minor) != 2)
		return -EINVAL;
	m->path = fields[4];
	unescape(m->path);
	return 0;
}

static void take_option(struct space_info *info, const char *option)
{
	if (strncmp(option, "size=", 5) == 0)
		info->size_bytes = strtoull(option + 5, NULL, 10) * 1024; /* "size=1024k" */
	else if (strcmp(option, "ro") == 0)
		info->read_only = true;
	else if (strcmp(option, "noswap") == 0)
		info->noswap = true;
	else if (strncmp(option, "huge=", 5) == 0)
		snprintf(info->huge, sizeof(info->huge), "%s", option + 5);
	else if (strncmp(option, "mpol=", 5) == 0)
		snprintf(info->mpol, sizeof(info->mpol), "%s", option + 5);
}

/* Whether the line is a space's, beneath `root`; the name and options go to *info. */
static bool take_space(struct mount_line *m, const char *root, struct space_info *info)
{
	size_t len = strlen(root);
	char *save = NULL;

	if (strcmp(m->type, "tmpfs") != 0 || strncmp(m->path, root, len) != 0 ||
	    m->path[len] != '/' || strlen(m->path) >= sizeof(info->path))
		return false;
	memset(info, 0, offsetof(struct space_info, path));
	if (name_parse(m->path + len + 1, &info->name, NULL))
		return false;
	strcpy(info->path, m->path);
	info->device = makedev(m->major, m->minor);
	info->size_bytes = 0;
	info->read_only = info->noswap = false;
	info->huge[0] = info->mpol[0] = '\0';
	for (char *o = strtok_r(m->options, ",", &save); o; o = strtok_r(NULL, ",", &save))
		take_option(info, o);
	return true;
}

/*
 * The kernel keeps no high-water mark of a tmpfs, but an attribute of its root, which goes when it
 * goes: whoever looks raises it. Only real root may; elsewhere the mark is what is used now. The
 * guest could write it too, and harms itself at most.
 */
#define PEAK_ATTRIBUTE "trusted.memnet.peak"

static uint64_t raise_peak(const char *path, uint64_t used)
{
	uint64_t peak = 0;
	char text[24];
	ssize_t n = lgetxattr(path, PEAK_ATTRIBUTE, text, sizeof(text) - 1);

	if (n > 0) {
		text[n] = '\0';
		peak = strtoull(text, NULL, 10);
	}
	if (peak >= used)
		return peak;
	n = snprintf(text, sizeof(text), "%" PRIu64, used);
	(void)lsetxattr(path, PEAK_ATTRIBUTE, text, (size_t)n, 0);
	return used;
}

static int fill_figures(struct space_info *info)
{
	struct statvfs v;

	if (statvfs(info->path, &v) < 0)
		return -errno;
	info->size_bytes = (uint64_t)v.f_blocks * v.f_frsize;
	info->used_bytes = (uint64_t)(v.f_blocks - v.f_bfree) * v.f_frsize;
	info->peak_bytes = raise_peak(info->path, info->used_bytes);
	info->inodes = v.f_files;
	info->inodes_used = v.f_files - v.f_ffree;
	return 0;
}

/* Calls fn for each line of mountinfo until it returns other than 0. */
static int each_mount(int (*fn)(struct mount_line *, void *), void *context)
{
	char buf[16384]; /* musl's own would cost a call for each kilobyte */
	cleanup_file FILE *f = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	size_t size = 0;
	int err = 0;

	if (!f)
		return -errno;
	setvbuf(f, buf, _IOFBF, sizeof(buf));
	while (!err && getline(&line, &size, f) > 0) {
		struct mount_line m;

		if (parse_mount_line(line, &m) == 0)
			err = fn(&m, context);
	}
	return err;
}

struct space_list {
	const char *root; /* the run-time folder as the kernel calls it */
	struct space_info **items;
	size_t count, capacity;
};

static void space_list_fini(struct space_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i]);
	free(l->items);
}

static int space_list_add(struct space_list *l, const struct space_info *info)
{
	struct space_info *copy = malloc(sizeof(*copy));

	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? l->capacity * 2 : 64;
		void *items = realloc(l->items, capacity * sizeof(*l->items));

		if (!items) {
			free(copy);
			return -ENOMEM;
		}
		l->items = items;
		l->capacity = capacity;
	}
	if (!copy)
		return -ENOMEM;
	*copy = *info;
	l->items[l->count++] = copy;
	return 0;
}

static int collect(struct mount_line *m, void *context)
{
	struct space_list *l = context;
	struct space_info info;

	return take_space(m, l->root, &info) ? space_list_add(l, &info) : 0;
}

static int by_name(const void *a, const void *b)
{
	const struct space_info *x = *(struct space_info *const *)a;
	const struct space_info *y = *(struct space_info *const *)b;
	int order = strcmp(x->name.vm, y->name.vm);

	return order ? order : strcmp(x->name.space, y->name.space);
}

/* Two mounts on one folder have one name: statvfs(2) sees the upper one, which is what counts. */
static int visit(struct space_list *l, int (*fn)(const struct space_info *, void *), void *context)
{
	int err = 0;

	qsort(l->items, l->count, sizeof(*l->items), by_name);
	for (size_t i = 0; !err && i < l->count; i++) {
		if (i > 0 && by_name(&l->items[i - 1], &l->items[i]) == 0)
			continue;
		if (fill_figures(l->items[i]) == 0) /* else it has just gone */
			err = fn(l->items[i], context);
	}
	return err;
}

int pool_each(const char *runtime_dir, int (*fn)(const struct space_info *, void *), void *context)
{
	cleanup_free char *root = realpath(runtime_dir, NULL);
	struct space_list l = {.root = root};
	int err;

	if (!root)
		return errno == ENOENT ? 0 : -errno;
	err = each_mount(collect, &l);
	if (!err && l.count)
		err = visit(&l, fn, context);
	space_list_fini(&l);
	return err;
}

struct search {
	const char *root;
	const struct space_name *name;
	struct space_info *info;
	uint64_t all_bytes;
	bool found;
};

static int match(struct mount_line *m, void *context)
{
	struct search *s = context;
	struct space_info info;

	if (!take_space(m, s->root, &info))
		return 0;
	/* The kernel does not print the size that a tmpfs has when nobody gives it one. */
	if (info.size_bytes || fill_figures(&info) == 0)
		s->all_bytes += info.size_bytes;
	if (strcmp(info.name.vm, s->name->vm) != 0 || strcmp(info.name.space, s->name->space) != 0)
		return 0;
	*s->info = info;
	s->found = true; /* and on: a later line is a mount on top */
	return 0;
}

int pool_find(const char *runtime_dir, const struct space_name *name, struct space_info *info,
	      struct mn_error *e)
{
	cleanup_free char *root = realpath(runtime_dir, NULL);
	struct search s = {.root = root, .name = name, .info = info};
	int err = root ? each_mount(match, &s) : 0;

	if (!s.found)
		memset(info, 0, sizeof(*info));
	info->all_bytes = s.all_bytes;
	if (!err && s.found)
		err = fill_figures(info);
	if (err)
		return mn_fail_errno(e, -err, "%s/%s", name->vm, name->space);
	if (!s.found)
		return mn_fail(e, MN_ABSENT, ENOENT, "%s/%s: no such space (see memnet share list)",
			       name->vm, name->space);
	return 0;
}

/* The pool's own mount. */

struct pool_search {
	const char *path;
	bool found;
};

static int match_pool(struct mount_line *m, void *context)
{
	struct pool_search *s = context;

	if (strcmp(m->type, "tmpfs") == 0 && strcmp(m->path, s->path) == 0)
		s->found = true;
	return s->found;
}

bool pool_mounted(const char *runtime_dir, const char *vm)
{
	cleanup_free char *root = realpath(runtime_dir, NULL);
	char path[PATH_MAX];
	struct pool_search s = {.path = path};

	return root && pool_path(root, vm, path) == 0 && each_mount(match_pool, &s) >= 0 && s.found;
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

int pool_make(const char *runtime_dir, const char *vm, uid_t uid, gid_t gid, struct mn_error *e)
{
	cleanup_fd int fd = -1;
	char path[PATH_MAX];
	int err = pool_runtime_make(runtime_dir, e);

	if (!err && pool_path(runtime_dir, vm, path))
		err = mn_fail_errno(e, ENAMETOOLONG, "%.64s…", runtime_dir);
	if (!err && !pool_mounted(runtime_dir, vm))
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
	int err = pool_each(runtime_dir, count_of_vm, (void *)(uintptr_t)vm);

	if (err)
		return err < 0 ? err : -EBUSY;
	err = pool_path(runtime_dir, vm, path);
	if (!err && pool_mounted(runtime_dir, vm))
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

static int note_pool(struct mount_line *m, void *context)
{
	struct pool_names *p = context;
	size_t len = strlen(p->root), i = 0;
	char *vm = m->path + len + 1, *slash;

	if (strcmp(m->type, "tmpfs") != 0 || strncmp(m->path, p->root, len) != 0 ||
	    m->path[len] != '/')
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
	each_mount(note_pool, p);
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

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int pool_held_by(pid_t pid, const char *path)
{
	char folder[40];
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	struct stat want, have;

	if (stat(path, &want) < 0)
		return -errno;
	snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
	dir = opendir(folder);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (fstatat(dirfd(dir), entry->d_name, &have, 0) == 0 && same_file(&want, &have))
			return 1;
	}
	return 0;
}

/* With the file system's user and group, which no other thread shares, the kernel itself decides.
 */
int pool_barred_to(uid_t uid, gid_t gid, const char *path, char barred[PATH_MAX])
{
	uid_t our_uid = (uid_t)setfsuid(uid);
	gid_t our_gid = (gid_t)setfsgid(gid);
	struct stat st;
	size_t end = 0;
	int err = 0;

	while (!err && path[end]) {
		end += 1 + strcspn(path + end + 1, "/");
		snprintf(barred, PATH_MAX, "%.*s", (int)end, path);
		err = stat(barred, &st) < 0 ? -errno : 0;
	}
	setfsgid(our_gid);
	setfsuid(our_uid);
	if (err != -EACCES)
		return err;
	*(end > 1 ? strrchr(barred, '/') : barred) = '\0';
	return 1;
}

int pool_seen_by(pid_t pid, const char *path)
{
	cleanup_free char *real = realpath(path, NULL);
	char theirs[PATH_MAX];
	struct stat want, have;
	int n;

	if (!real || stat(real, &want) < 0)
		return -errno;
	n = snprintf(theirs, sizeof(theirs), "/proc/%d/root%s", (int)pid, real);
	if (n < 0 || n >= PATH_MAX)
		return -ENAMETOOLONG;
	if (stat(theirs, &have) < 0)
		return errno == ENOENT ? 0 : -errno;
	return same_file(&want, &have);
}
