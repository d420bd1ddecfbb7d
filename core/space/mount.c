#include "space/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "space/mountinfo.h"

extern char **environ;

#define DRIVER_FOLDER "/sys/bus/virtio/drivers/9pnet_virtio"

/* Best effort: a kernel with the module built in, or no modprobe, must not stop us. */
static void load_module(const char *name)
{
	static char program[] = "modprobe", quiet[] = "-q";
	char module[32];
	char *words[] = {program, quiet, module, NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid;

	snprintf(module, sizeof(module), "%s", name);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, program, &actions, NULL, words, environ) == 0)
		waitpid(pid, NULL, 0);
	posix_spawn_file_actions_destroy(&actions);
}

static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

/* Whether the kernel knows the file system now. */
static bool have_9p(void)
{
	cleanup_file FILE *f = fopen("/proc/filesystems", "re");
	char line[80];

	while (f && fgets(line, sizeof(line), f)) {
		if (strcmp(line, "nodev\t9p\n") == 0)
			return true;
	}
	return false;
}

static void load_modules(void)
{
	if (!exists(DRIVER_FOLDER))
		load_module("9pnet_virtio");
	if (!have_9p())
		load_module("9p");
}

/* Whether a bound device has this tag; the file ends with a NUL, or does not. */
static bool device_has_tag(int driverfd, const char *device, const char *tag)
{
	char path[300], have[64];

	if (strncmp(device, "virtio", 6) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/mount_tag", device);
	return io_read_file(driverfd, path, have, sizeof(have)) >= 0 && strcmp(have, tag) == 0;
}

static bool find_device(const char *tag)
{
	cleanup_dir DIR *dir = opendir(DRIVER_FOLDER);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (device_has_tag(dirfd(dir), entry->d_name, tag))
			return true;
	}
	return false;
}

static int fail_waiting(const char *tag, struct mn_error *e)
{
	if (exists("/sys/bus") && !exists("/sys/bus/virtio"))
		return mn_fail(e, MN_TIMEOUT, ETIMEDOUT,
			       "%s: this kernel has no virtio yet (modprobe virtio_pci)", tag);
	if (exists("/sys/bus") && !exists(DRIVER_FOLDER))
		return mn_fail(e, MN_TIMEOUT, ETIMEDOUT,
			       "%s: the driver is missing (modprobe 9pnet_virtio; Debian's cloud "
			       "kernel has none)",
			       tag);
	return mn_fail(e, MN_TIMEOUT, ETIMEDOUT,
		       "%s: no device with this tag came (on the host: memnet share attach VM)",
		       tag);
}

/* What is mounted on a folder, as far as it concerns us. */
struct mounted {
	const char *path;
	bool is_9p;
	char source[64];
};

static int look_at_mount(struct mountinfo *m, void *context)
{
	struct mounted *on = context;

	if (strcmp(m->path, on->path) == 0) {
		on->is_9p = strcmp(m->type, "9p") == 0;
		snprintf(on->source, sizeof(on->source), "%s", m->source);
	}
	return 0; /* a later one is on top */
}

/* Whether 9p is mounted on `path`, and of which source. 1, 0 or -errno. */
static int find_mount(const char *path, struct mounted *on)
{
	int err;

	*on = (struct mounted){.path = path};
	err = mountinfo_each(look_at_mount, on);
	return err ? err : on->is_9p;
}

struct busy {
	const char *tag, *dir;
	bool here, elsewhere;
};

static int look_for_tag(struct mountinfo *m, void *context)
{
	struct busy *b = context;

	if (strcmp(m->type, "9p") == 0 && strcmp(m->source, b->tag) == 0)
		*(strcmp(m->path, b->dir) == 0 ? &b->here : &b->elsewhere) = true;
	return 0;
}

/*
 * Who has the device: -EBUSY if it is mounted elsewhere, 0 if it is mounted on `dir` by now, by
 * another that began when we did; -ENOENT while that one is at it.
 */
static int who_has_device(const char *tag, const char *dir)
{
	struct busy b = {.tag = tag, .dir = dir};
	int err = mountinfo_each(look_for_tag, &b);

	if (err)
		return err;
	return b.here ? 0 : b.elsewhere ? -EBUSY : -ENOENT;
}

static int fail_mount(const char *tag, const char *dir, int err, struct mn_error *e)
{
	switch (err) {
	case EBUSY:
		return mn_fail(
			e, MN_BUSY, err,
			"%s: the device is mounted elsewhere already (one mount a device; see "
			"grep 9p /proc/mounts)",
			tag);
	case ENODEV:
		return mn_fail(
			e, MN_FAILED, err,
			"%s: this kernel knows no 9p file system (modprobe 9p; Debian's cloud "
			"kernel has none)",
			tag);
	case EPERM:
		return mn_fail(e, MN_FAILED, err, "%s: cannot mount: %s (be root)", tag,
			       strerror(err));
	default: return mn_fail_errno(e, err, "%s: cannot mount on %s", tag, dir);
	}
}

void mount_options(const char *cache, char options[MOUNT_OPTIONS_MAX])
{
	snprintf(options, MOUNT_OPTIONS_MAX,
		 "trans=virtio,version=9p2000.L,msize=%d,cache=%.8s,noxattr", MOUNT_MSIZE, cache);
}

/*
 * Without /sys, as in a bare initramfs, only the mount itself can be tried: ENOENT while no device
 * has the tag.
 */
static int try_mount(const char *tag, const char *dir, const char *cache)
{
	char options[MOUNT_OPTIONS_MAX];

	if (exists("/sys/bus") && !find_device(tag))
		return -ENOENT;
	mount_options(cache, options);
	return mount(tag, dir, "9p", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0 ? -errno : 0;
}

static int mount_within(const char *tag, const char *dir, const char *cache, int64_t deadline_ns,
			struct mn_error *e)
{
	for (;;) {
		int err = try_mount(tag, dir, cache);
		bool busy = err == -EBUSY;

		if (busy)
			err = who_has_device(tag, dir);
		if (err != -ENOENT)
			return err ? fail_mount(tag, dir, -err, e) : 0;
		if (clock_left_ms(deadline_ns) == 0)
			return busy ? fail_mount(tag, dir, EBUSY, e) : fail_waiting(tag, e);
		poll(NULL, 0, exists("/sys/bus") ? 5 : 100);
	}
}

/* With its parents, as mkdir -p makes them. */
static int make_folder(const char *dir, struct mn_error *e)
{
	cleanup_free char *path = strdup(dir);
	struct stat st;

	for (char *slash = path ? strchr(path + 1, '/') : NULL; slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755); /* the last one tells */
		*slash = '/';
	}
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return mn_fail_errno(e, errno, "cannot make %s", dir);
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return mn_fail(e, MN_FAILED, ENOTDIR, "%s is no folder", dir);
	return 0;
}

int mount_pool_device(const char *tag, const char *dir, const char *cache, int64_t deadline_ns,
		      struct mn_error *e)
{
	cleanup_free char *real = NULL;
	struct mounted on;
	int err = make_folder(dir, e);

	if (err)
		return err;
	real = realpath(dir, NULL);
	if (!real)
		return mn_fail_errno(e, errno, "%s", dir);
	if (find_mount(real, &on) == 1) {
		if (strcmp(on.source, tag) == 0)
			return 0;
		return mn_fail(e, MN_BUSY, EBUSY, "%s: %s is mounted there", dir, on.source);
	}
	load_modules();
	return mount_within(tag, real, cache, deadline_ns, e);
}

int mount_release(const char *dir, struct mn_error *e)
{
	cleanup_free char *real = realpath(dir, NULL);
	struct mounted on;
	int found;

	if (!real && errno != ENOENT)
		return mn_fail_errno(e, errno, "%s", dir);
	found = real ? find_mount(real, &on) : 0;
	if (found < 0)
		return mn_fail_errno(e, -found, "/proc/self/mountinfo");
	if (!found)
		return 0;
	if (umount2(real, UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno == EBUSY)
		return mn_fail(e, MN_BUSY, EBUSY,
			       "%s: a file or folder in it is open (see fuser -m %s)", dir, dir);
	return mn_fail_errno(e, errno, "%s", dir);
}
