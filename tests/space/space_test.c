/* Pools and spaces from their making to their end, and what a guest may do to them meanwhile. */
#include <errno.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "space/layout.h"
#include "space/pool.h"
#include "space/reach.h"
#include "space/space.h"
#include "tests/space/namespace.h"

#define RUN "/tmp/run"
#define MB  (1024 * 1024)

static int make(const char *vm, const char *space, uint64_t size)
{
	struct mn_error e = MN_ERROR_INIT;
	struct space_name name;
	struct tmpfs_options o = {.size_bytes = size, .inodes = 1000, .mode = 0700};
	cleanup_fd int poolfd = pool_make(RUN, vm, 0, 0, &e);
	int err;

	snprintf(name.vm, sizeof(name.vm), "%s", vm);
	snprintf(name.space, sizeof(name.space), "%s", space);
	err = poolfd < 0 ? poolfd : space_create(poolfd, &name, &o, &e);
	if (err)
		diag("%s/%s: %s", vm, space, e.text);
	return err;
}

static struct space_info find(const char *vm, const char *space)
{
	struct space_name name;
	struct space_info info = {0};

	snprintf(name.vm, sizeof(name.vm), "%s", vm);
	snprintf(name.space, sizeof(name.space), "%s", space);
	inventory_find(RUN, &name, &info, NULL);
	return info;
}

static void put(const char *path, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, 0) < 0)
		diag("%s: %s", path, strerror(errno));
	while (size > 0) {
		ssize_t n = write(fd, "0123456789abcdef", size < 16 ? size : 16);

		if (n <= 0)
			break;
		size -= (size_t)n;
	}
	close(fd);
}

static int collect(const struct space_info *info, void *context)
{
	char *all = context;

	sprintf(all + strlen(all), "%s/%s ", info->name.vm, info->name.space);
	return 0;
}

static int stop_at_second(const struct space_info *info, void *context)
{
	int *seen = context;

	(void)info;
	return ++*seen == 2 ? 42 : 0;
}

static void test_listing(void)
{
	char all[256] = "";
	int seen = 0;

	is_int(inventory_each(RUN, collect, all), 0, "no run-time folder, no spaces");
	make("web2", "b", MB);
	make("web1", "out", MB);
	make("web1", "in", MB);
	mkdir(RUN "/web1x", 0700);
	is_int(inventory_each(RUN, collect, all), 0, "listed");
	is_str(all, "web1/in web1/out web2/b ", "in the order of their names");
	is_int((intmax_t)find("web1", "in").all_bytes, 3 * MB, "all sizes, beside one space");
	is_int((intmax_t)find("web1", "none").all_bytes, 3 * MB,
	       "and beside one that is not there");
	is_int(inventory_each(RUN, stop_at_second, &seen), 42, "a visitor can end it");
	is_int(inventory_each("/proc", collect, all), 0, "other mounts are no spaces");
	symlink(RUN, "/tmp/link");
	all[0] = '\0';
	is_int(inventory_each("/tmp/link", collect, all), 0, "through a symbolic link");
	is_str(all, "web1/in web1/out web2/b ", "the same");
}

static void test_info(void)
{
	struct space_info info = find("web1", "out");
	struct mn_error e = MN_ERROR_INIT;
	struct space_name nobody = {"web1", "nobody"};
	cleanup_fd int fd = open(info.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	is_str(info.path, RUN "/web1/out", "path");
	is_int((intmax_t)info.size_bytes, MB, "size");
	is_int((intmax_t)info.used_bytes, 0, "used");
	is_int((intmax_t)info.inodes, 1000, "inodes");
	is_int(space_probe(fd), 0, "it is a space");
	is_int(inventory_find(RUN, &nobody, &info, &e), -ENOENT, "no such space");
	is_int(e.status, MN_ABSENT, "exit status");
}

/* The guest sees the pool's root as well. */
static void test_pool_is_closed(void)
{
	is_int(mkdir(RUN "/web1/x", 0700), -1, "no folder beside the spaces");
	is_int(errno, EROFS, "the pool is read-only");
	is_int(open(RUN "/web1/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1, "no file either");
	is_int(rmdir(RUN "/web1/out"), -1, "nor can a space's folder go");
	is_int(pool_remove(RUN, "web1"), -EBUSY, "a pool with spaces stays");
}

/* What of a folder's size is taken for its being empty (space.c). */
static void test_count_little(void)
{
	struct space_info info = find("web1", "in");
	struct space_census c;

	is_int(space_count(&info, 0, &c), 0, "a new space counted");
	is_int((intmax_t)(c.objects + c.parts), 0, "nothing in it");
	put(RUN "/web1/in/a", 100);
	is_int(space_count(&info, 0, &c), 0, "with one object");
	is_int((intmax_t)c.objects, 1, "an object and no part");
	unlink(RUN "/web1/in/a");
	put(RUN "/web1/in/.memnet/part/job.0", 30);
	is_int(space_count(&info, 0, &c), 0, "with one part");
	is_int((intmax_t)c.objects, 0, "no object");
	is_int((intmax_t)c.part_bytes, 30, "and a part");
	unlink(RUN "/web1/in/.memnet/part/job.0");
	rename(RUN "/web1/in/.memnet", RUN "/web1/in/x");
	put(RUN "/web1/in/x/a", 100);
	is_int(space_count(&info, 0, &c), 0,
	       "with another folder in the place of the reserved one");
	is_int((intmax_t)c.objects, 1, "its object counts");
	unlink(RUN "/web1/in/x/a");
	rename(RUN "/web1/in/x", RUN "/web1/in/.memnet");
	mkdir(RUN "/web1/in/d", 0700);
	mkdir(RUN "/web1/in/d/.memnet", 0700);
	put(RUN "/web1/in/d/.memnet/a", 100);
	is_int(space_count(&info, 0, &c), 0, "with a folder called as the reserved one below");
	is_int((intmax_t)c.objects, 1, "its object counts");
	unlink(RUN "/web1/in/d/.memnet/a");
	rmdir(RUN "/web1/in/d/.memnet");
	rmdir(RUN "/web1/in/d");
}

static void test_count(void)
{
	struct space_info info = find("web1", "out");
	struct space_census c;
	char path[4096];
	char *to = stpcpy(path, RUN "/web1/out");

	put(RUN "/web1/out/.memnet/jobs/1.json", 10);
	put(RUN "/web1/out/.memnet/part/p", 10);
	is_int(space_count(&info, 0, &c), 0, "counted");
	is_int((intmax_t)c.objects, 0, "what is reserved is no object");
	is_int((intmax_t)c.parts, 0, "a writer's lock is no part");
	put(RUN "/web1/out/.memnet/part/job-1.0", 10);
	put(RUN "/web1/out/.memnet/part/job-1.12", 20);
	put(RUN "/web1/out/.memnet/part/job.x", 1);
	symlink("/etc/passwd", RUN "/web1/out/.memnet/part/job-1.2");
	is_int(space_count(&info, 0, &c), 0, "counted with parts");
	is_int((intmax_t)c.parts, 2, "those are");
	is_int((intmax_t)c.part_bytes, 30, "with their bytes");
	put(RUN "/web1/out/a", 100);
	mkdir(RUN "/web1/out/d", 0700);
	mkdir(RUN "/web1/out/.virtfs_metadata", 0700);
	put(RUN "/web1/out/.virtfs_metadata/a", 5);
	put(RUN "/web1/out/d/b", 50);
	symlink("/etc", RUN "/web1/out/d/etc");
	is_int(space_count(&info, 0, &c), 0, "counted again");
	is_int((intmax_t)c.objects, 3, "files in folders, and a link as what it is");
	is_int((intmax_t)c.bytes, 150, "their bytes");
	is_int(space_count(&info, 1, &c), 0, "with a limit");
	is_int((intmax_t)c.objects, 1, "it stops");
	unlink(RUN "/web1/out/a");
	unlink(RUN "/web1/out/d/etc");
	is_int(space_count(&info, 1, &c), 0, "with a limit again");
	is_str(c.first, "d/b", "an object is named by its path");
	put(RUN "/web1/out/a", 100);
	symlink("/etc", RUN "/web1/out/d/etc");
	for (int i = 0; i < 400; i++) {
		to = stpcpy(to, "/x");
		mkdir(path, 0700);
	}
	is_int(space_count(&info, 0, &c), 0, "folders without end");
	is_int((intmax_t)c.objects, 4, "are cut off and count as one");
}

static void test_resize(void)
{
	struct space_info info = find("web2", "b");
	struct mn_error e = MN_ERROR_INIT;
	struct tmpfs_options o = {.size_bytes = 2 * MB};

	put(RUN "/web2/b/x", 900000);
	is_int(space_resize(&info, &o, &e), 0, "grown");
	is_int((intmax_t)find("web2", "b").size_bytes, 2 * MB, "as mountinfo has it");
	is_int((intmax_t)find("web2", "b").used_bytes, 901120, "used, in pages");
	is_int(truncate(RUN "/web2/b/x", 600000), 0, "some is given back");
	info = find("web2", "b");
	ok(info.used_bytes < 901120, "less is used");
	if (geteuid() == 0 && info.peak_bytes != info.used_bytes)
		is_int((intmax_t)info.peak_bytes, 901120, "and the peak is remembered");
	else
		skip(1, "only real root keeps the peak");
	o.size_bytes = 500000;
	is_int(space_resize(&info, &o, &e), -EINVAL, "not below what is in it");
	is_int(e.status, MN_REFUSED, "exit status");
	is_int(space_own(&info, geteuid(), getegid(), &e), 0, "it can be given away");
}

/* A child that holds a file open, until killed. */
static pid_t hold(const char *path, int flags)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe(ready) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		int fd = open(path, flags | O_CLOEXEC);

		if (write(ready[1], fd < 0 ? "n" : "y", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	if (read(ready[0], &c, 1) != 1 || c != 'y')
		diag("%s is not held", path);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void drop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_destroy(void)
{
	struct space_info info;
	struct mn_error e = MN_ERROR_INIT;
	pid_t pid;

	make("web3", "s", MB);
	info = find("web3", "s");
	put(RUN "/web3/s/object", 10);
	is_int(space_destroy(&info, false, &e), -ENOTEMPTY, "it holds an object");
	is_int(e.status, MN_REFUSED, "exit status");
	ok(strstr(e.text, "object") != NULL, "which is named: %s", e.text);
	put(RUN "/web3/s/object2", 10);
	is_int(access(RUN "/web3/s/object2", F_OK), 0, "and it can be written again");
	pid = hold(RUN "/web3/s/object", O_WRONLY);
	is_int(space_destroy(&info, false, &e), -EBUSY, "somebody writes");
	is_int(e.status, MN_BUSY, "exit status");
	ok(strstr(e.text, "process") != NULL, "who is named: %s", e.text);
	drop(pid);
	pid = hold(RUN "/web3/s/object", O_RDONLY);
	unlink(RUN "/web3/s/object");
	unlink(RUN "/web3/s/object2");
	is_int(space_destroy(&info, false, &e), -EBUSY, "somebody reads what is removed");
	put(RUN "/web3/s/more", 10);
	is_int(access(RUN "/web3/s/more", F_OK), 0, "and it can be written again");
	is_int(space_destroy(&info, true, &e), 0, "forced, with an object and a reader");
	is_str(find("web3", "s").path, "", "it is gone");
	is_int(access(RUN "/web3/s", F_OK), -1, "its folder too");
	drop(pid);
	is_int(pool_remove(RUN, "web3"), 0, "the empty pool goes");
	is_int(access(RUN "/web3", F_OK), -1, "with its folder");
	is_int(pool_remove(RUN, "web3"), 0, "and again");
}

/* Sends TERM to a destroy while the space is frozen. Whether it came to that. */
static bool terminate_destroy(const struct space_info *info)
{
	bool frozen = false;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		space_destroy(info, false, NULL);
		_exit(0);
	}
	while (!frozen && waitpid(pid, NULL, WNOHANG) == 0)
		frozen = find(info->name.vm, info->name.space).read_only;
	if (frozen) {
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
	}
	return frozen;
}

/* So many folders that a look at them takes a while, and somebody who keeps it from going. */
static void test_destroy_terminated(void)
{
	const struct tmpfs_options many = {.inodes = 20000};
	struct space_info info;
	bool frozen = false;
	pid_t pid;

	make("web9", "s", 16 * MB);
	info = find("web9", "s");
	space_resize(&info, &many, NULL);
	for (int i = 0; i < 10000; i++) {
		char path[64];

		snprintf(path, sizeof(path), RUN "/web9/s/%d", i);
		mkdir(path, 0700);
	}
	pid = hold(RUN "/web9/s", O_RDONLY | O_DIRECTORY);
	for (int tries = 0; !frozen && tries < 100; tries++)
		frozen = terminate_destroy(&info);
	ok(frozen, "a destroy is told to end while it looks");
	ok(!find("web9", "s").read_only, "and leaves no space that cannot be written");
	drop(pid);
	space_destroy(&info, true, NULL);
	pool_remove(RUN, "web9");
}

/* Pools of VMs that died. */
static void test_sweep(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct space_info info;
	int poolfd = pool_make(RUN, "web6", 0, 0, &e), lock;
	pid_t pid;

	close(poolfd);
	make("web7", "s", MB);
	pid = hold(RUN "/web6", O_RDONLY | O_DIRECTORY);
	pool_sweep(RUN);
	ok(pool_mounted(RUN, "web6"), "a pool that a QEMU has open stays");
	drop(pid);
	lock = pool_lock(RUN, "web6", 0, &e);
	pool_sweep(RUN);
	ok(pool_mounted(RUN, "web6"), "so does one at which a command works");
	close(lock);
	pool_sweep(RUN);
	ok(!pool_mounted(RUN, "web6"), "any other without a space goes");
	is_int(access(RUN "/web6", F_OK), -1, "with its folder");
	info = find("web7", "s");
	is_str(info.path, RUN "/web7/s", "one with a space stays");
	space_destroy(&info, true, NULL);
	pool_sweep(RUN);
	is_int(access(RUN "/web7", F_OK), -1, "until that is destroyed");
}

/* A run-time folder that others use too: what is theirs is neither listed nor taken away. */
static void test_foreign(void)
{
	struct mn_error e = MN_ERROR_INIT;
	char all[256] = "";

	mkdir(RUN "/scratch", 0700);
	mount("none", RUN "/scratch", "tmpfs", 0, NULL);
	put(RUN "/scratch/file", 10);
	is_int(pool_make(RUN, "scratch", 0, 0, &e), -EEXIST, "no pool over another's tmpfs");
	is_int(e.status, MN_BUSY, "exit status");
	is_int(pool_remove(RUN, "scratch"), -EEXIST, "nor is that one removed");
	pool_sweep(RUN);
	is_int(access(RUN "/scratch/file", F_OK), 0, "or swept away");
	mkdir(RUN "/scratch/in", 0700);
	mount("none", RUN "/scratch/in", "tmpfs", 0, NULL);
	is_int(inventory_each(RUN, collect, all), 0, "listed");
	ok(!strstr(all, "scratch"), "one below it is no space: %s", all);
}

/* What a kill between two steps leaves. */
static void test_half_way(void)
{
	struct space_info info;
	struct mn_error e = MN_ERROR_INIT;
	struct tmpfs_options o = {.size_bytes = MB};
	cleanup_fd int poolfd = pool_make(RUN, "web4", 0, 0, &e), clone = -1, fd = -1;

	clone = tmpfs_writable_clone(poolfd);
	mkdirat(clone, "s", 0700);
	is_str(find("web4", "s").path, "", "a folder is no space");
	is_int(make("web4", "s", MB), 0, "and no obstacle");
	info = find("web4", "s");
	fd = open(info.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tmpfs_freeze(fd, &e);
	ok(find("web4", "s").read_only, "a destroy that was killed left it read-only");
	is_int(space_resize(&info, &o, &e), 0, "a resize");
	ok(!find("web4", "s").read_only, "heals it");
	tmpfs_freeze(fd, &e);
	close(fd);
	fd = -1;
	is_int(space_destroy(&info, false, &e), 0, "or a destroy ends it");
}

static int owner_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? -errno : (int)st.st_uid;
}

/* A guest's answer to space_prepare(): links where folders were. */
static void test_hostile_prepare(void)
{
	struct space_info info;
	struct mn_error e = MN_ERROR_INIT;

	make("web5", "s", MB);
	info = find("web5", "s");
	rename(RUN "/web5/s/.memnet", RUN "/web5/s/moved");
	mkdir("/tmp/outside", 0755);
	symlink("/tmp/outside", RUN "/web5/s/.memnet");
	ok(space_own(&info, 12345, 12345, &e) != 0, "is refused");
	is_int(access("/tmp/outside/part", F_OK), -1, "and nothing is made outside");
	is_int(owner_of(info.path), 0, "nor is it another's before all in it is");
}

/* The next QEMU's user. */
static void test_own(void)
{
	struct space_info info;
	struct mn_error e = MN_ERROR_INIT;

	make("web8", "s", MB);
	info = find("web8", "s");
	put(RUN "/web8/s/.memnet/lock", 0);
	is_int(space_own(&info, 0, 0, &e), 0, "given to whom it belongs");
	is_int(access(RUN "/web8/s/.memnet/lock", F_OK), 0, "the lock stays");
	if (space_own(&info, 12345, 12346, &e)) {
		skip(4, "only real root can give away");
		return;
	}
	is_int(access(RUN "/web8/s/.memnet/lock", F_OK), -1, "to another, and the lock goes");
	is_int(owner_of(RUN "/web8/s/.memnet/part"), 12345, "the folders are the other's");
	put(RUN "/web8/s/.memnet/lock", 0);
	(void)!chown(RUN "/web8/s/.memnet/lock", 12345, 12346);
	(void)!chown(RUN "/web8/s", 0, 0);
	is_int(space_own(&info, 12345, 12346, &e), 0, "what was left half-way is done again");
	is_int(access(RUN "/web8/s/.memnet/lock", F_OK), 0, "a lock of the right user stays");
}

/* A file system whose server never answers, on `path`. Its descriptor, or -1. */
static int mount_dead(const char *path)
{
	char options[80];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	mkdir(path, 0700);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd >= 0 && mount("dead", path, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Whoever asks it with stat(2) is never seen again. */
static void test_dead_server(void)
{
	struct space_info info = find("web1", "out");
	cleanup_fd int fd = mount_dead("/tmp/dead");
	char holder[64];
	pid_t pid;

	if (fd < 0) {
		skip(2, "no FUSE here");
		return;
	}
	pid = hold("/tmp/dead", O_PATH | O_DIRECTORY);
	alarm(60);
	is_int(reach_held_by(pid, RUN "/web1"), 0, "a process with a file of a dead server's");
	space_holder(&info, holder, sizeof(holder));
	is_str(holder, "", "and all processes");
	alarm(0);
	drop(pid);
	umount2("/tmp/dead", MNT_DETACH);
}

static void test_process_views(void)
{
	pid_t pid = hold(RUN "/web1", O_RDONLY | O_DIRECTORY);

	is_int(reach_held_by(pid, RUN "/web1"), 1, "a process that has the pool open");
	is_int(reach_held_by(pid, RUN "/web2"), 0, "and not another");
	if (reach_holder(RUN "/web1") == -EPERM) {
		skip(2, "not every process is seen here");
	} else {
		is_int(reach_holder(RUN "/web1"), pid, "found among all");
		is_int(reach_holder(RUN "/web1/out"), 0, "of another folder there is none");
	}
	is_int(reach_seen_by(pid, RUN "/web1/out"), 1, "and sees the space");
	drop(pid);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0)
			_exit(2);
		tmpfs_unmount(RUN "/web1/in", true);
		_exit(reach_seen_by(getppid(), RUN "/web1/in") == 0 ? 0 : 1);
	}
	int status;
	waitpid(pid, &status, 0);
	is_int(status, 0, "a process in another mount namespace sees something else");
}

static void test_barred(void)
{
	char barred[PATH_MAX] = "";

	if (geteuid() != 0 || setfsuid(12345) != 0 || setfsuid(0) != 12345) {
		skip(4, "only real root can ask for others");
		return;
	}
	mkdir("/tmp/closed", 0711);
	mkdir("/tmp/closed/in", 0755);
	is_int(reach_barred_to(12345, 12345, "/tmp/closed/in", barred), 0, "a user passes through");
	chmod("/tmp/closed", 0700);
	is_int(reach_barred_to(12345, 12345, "/tmp/closed/in", barred), 1, "a folder keeps it out");
	is_str(barred, "/tmp/closed", "which is named");
	is_int(reach_barred_to(0, 0, "/tmp/closed/in", barred), 0, "but not root");
}

int main(void)
{
	namespace_enter();
	test_listing();
	test_info();
	test_pool_is_closed();
	test_count_little();
	test_count();
	test_resize();
	test_destroy();
	test_destroy_terminated();
	test_sweep();
	test_foreign();
	test_barred();
	test_half_way();
	test_hostile_prepare();
	test_own();
	test_process_views();
	test_dead_server();
	return done_testing();
}
