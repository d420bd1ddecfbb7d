#include "space/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/confine.h"

#define PREPARE_TRIES 16

struct owner {
	uid_t uid;
	gid_t gid;
};

/*
 * Makes folder `name` in `dirfd`, opens what is there then and gives it to the owner of the space,
 * the user that QEMU runs as. The descriptor goes to *out, or is closed for NULL.
 */
static int prepare_folder(int dirfd, const char *name, struct owner owner, int *out)
{
	cleanup_fd int fd = -1;

	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = confine_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (fchownat(fd, "", owner.uid, owner.gid, AT_EMPTY_PATH) < 0)
		return -errno;
	if (out)
		*out = STEAL_FD(fd);
	return 0;
}

/*
 * A guest's kernel believes in a folder that the host removed as long as anybody has something in
 * it open: mkdirat(2) says EEXIST, all else ENOENT. A rename onto it puts that right.
 */
static int replace_folder(int dirfd, const char *name)
{
	char fresh[40];

	snprintf(fresh, sizeof(fresh), "%s.new", name);
	if (mkdirat(dirfd, fresh, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (renameat(dirfd, fresh, dirfd, name) == 0)
		return 0;
	unlinkat(dirfd, fresh, AT_REMOVEDIR); /* another was first */
	return 0;
}

static int have_folder(int dirfd, const char *name, struct owner owner, int *out)
{
	int err = prepare_folder(dirfd, name, owner, out);

	if (err == -ENOENT && (err = replace_folder(dirfd, name)) == 0)
		err = prepare_folder(dirfd, name, owner, out);
	return err;
}

/*
 * Folder by folder: the guest may have put a symbolic link in the place of the reserved one, and
 * mkdirat(2) would follow it wherever it leads on the host.
 */
static int prepare(int rootfd, struct owner owner)
{
	static const char *const folders[] = {SPACE_PART, SPACE_LIVE, SPACE_JOBS};
	cleanup_fd int reserved = -1;
	int err = have_folder(rootfd, SPACE_RESERVED, owner, &reserved);

	for (size_t i = 0; !err && i < sizeof(folders) / sizeof(*folders); i++)
		err = have_folder(reserved, folders[i] + sizeof(SPACE_RESERVED), owner, NULL);
	return err;
}

/* Of several that begin anew at once, one may remove the still empty folder of another. */
static int prepare_again(int rootfd, struct owner owner)
{
	int err = -ENOENT;

	for (int tries = 0; tries < PREPARE_TRIES && err == -ENOENT; tries++)
		err = prepare(rootfd, owner);
	return err;
}

int space_prepare(int rootfd)
{
	struct stat root;

	if (fstat(rootfd, &root) < 0)
		return -errno;
	return prepare_again(rootfd, (struct owner){root.st_uid, root.st_gid});
}

/* Made 0600 by the jobs of a QEMU that is gone: none holds it, and the next one's make it anew. */
static void drop_lock(int rootfd, uid_t uid)
{
	cleanup_fd int reserved = confine_open(rootfd, SPACE_RESERVED, O_PATH | O_DIRECTORY, 0);
	const char *name = &SPACE_LOCK[sizeof(SPACE_RESERVED)];
	struct stat st;

	if (reserved >= 0 && fstatat(reserved, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_uid != uid)
		unlinkat(reserved, name, 0);
}

/* The root last: it tells the next one whether anything is left to do. */
int space_give(int rootfd, uid_t uid, gid_t gid)
{
	struct stat root;
	int err;

	if (fstat(rootfd, &root) < 0)
		return -errno;
	if (root.st_uid == uid && root.st_gid == gid)
		return 0;
	err = prepare_again(rootfd, (struct owner){uid, gid});
	if (err)
		return err;
	drop_lock(rootfd, uid);
	return fchown(rootfd, uid, gid) < 0 ? -errno : 0;
}

static int open_part(int rootfd)
{
	return confine_open(rootfd, SPACE_PART, O_PATH | O_DIRECTORY, 0);
}

int space_probe(int rootfd)
{
	cleanup_fd int fd = open_part(rootfd);

	return fd < 0 ? fd : 0;
}

/*
 * The absolute path, without links, of `dir`, open as `fd`: by realpath(3), to which each folder on
 * the way is three messages of 9p, only where there is no /proc.
 */
static int real_path(int fd, const char *dir, char path[PATH_MAX])
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX);
	if (n < 0)
		return realpath(dir, path) ? 0 : -errno;
	if (n == PATH_MAX)
		return -ENAMETOOLONG;
	path[n] = '\0';
	return 0;
}

int space_find_part(const char *dir, int *rootfd, int *partfd, char *below, size_t size)
{
	cleanup_fd int dirfd = open(dir, O_PATH | O_CLOEXEC);
	char path[PATH_MAX], full[PATH_MAX];
	int err = dirfd < 0 ? -errno : real_path(dirfd, dir, path);
	char *end;

	if (err)
		return err;
	strcpy(full, path);
	err = -ENOENT;
	/* From the longest prefix to the shortest; "/" itself is no space. */
	for (end = path + strlen(path); end > path; end = strrchr(path, '/')) {
		const char *rest = full + (end - path);
		cleanup_fd int fd = -1, part = -1;

		*end = '\0';
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		part = fd < 0 ? -errno : open_part(fd);
		if (part < 0) {
			if (part == -EACCES && !*rest)
				err = -EACCES; /* what lies above need not be a space */
			continue;
		}
		rest += *rest == '/';
		if (strlen(rest) >= size)
			return -ENAMETOOLONG;
		strcpy(below, rest);
		*rootfd = STEAL_FD(fd);
		*partfd = STEAL_FD(part);
		return 0;
	}
	return err;
}

int space_find(const char *dir, int *rootfd, char *below, size_t size)
{
	cleanup_fd int part = -1;

	return space_find_part(dir, rootfd, &part, below, size);
}
