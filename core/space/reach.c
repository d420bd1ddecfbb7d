#include "space/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "space/openfile.h"

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int reach_held_by(pid_t pid, const char *path)
{
	char process[24];
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	snprintf(process, sizeof(process), "/proc/%d", (int)pid);
	return openfile_held(AT_FDCWD, process, &(struct openfile){st.st_dev, st.st_ino});
}

/* Whether no process is hidden from us: not in a container, and not by the rights of our user. */
static bool sees_every_process(int procfd, const struct openfile *f)
{
	static const char first[] = "pid:[4026531836]"; /* PROC_PID_INIT_INO, Linux 3.8 */
	char space[40];
	ssize_t n = readlinkat(procfd, "self/ns/pid", space, sizeof(space));

	return n == sizeof(first) - 1 && memcmp(space, first, sizeof(first) - 1) == 0 &&
	       openfile_held(procfd, "1", f) >= 0;
}

pid_t reach_holder(const char *path)
{
	cleanup_dir DIR *proc = opendir("/proc");
	struct openfile f;
	struct dirent *entry;
	struct stat st;

	if (!proc || stat(path, &st) < 0)
		return -errno;
	f = (struct openfile){st.st_dev, st.st_ino};
	if (!sees_every_process(dirfd(proc), &f))
		return -EPERM;
	while ((entry = readdir(proc))) {
		if (openfile_is_other(entry->d_name) &&
		    openfile_held(dirfd(proc), entry->d_name, &f) == 1)
			return (pid_t)atoi(entry->d_name);
	}
	return 0;
}

/* With the file system's user and group, which no other thread shares, the kernel itself decides.
 */
int reach_barred_to(uid_t uid, gid_t gid, const char *path, char barred[PATH_MAX])
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

int reach_seen_by(pid_t pid, const char *path)
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
