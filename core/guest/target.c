#include "guest/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

int target_null(struct target *o)
{
	*o = (struct target){.kind = TARGET_NULL, .sink = null_sink};
	return 0;
}

int target_descriptor(struct target *o, int fd)
{
	*o = (struct target){.kind = TARGET_DESCRIPTOR, .file = {.fd = fd}};
	o->sink = file_sink(&o->file);
	return 0;
}

static int file_create(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, mode);

	return fd < 0 ? -errno : fd;
}

/*
 * Replaced is the name, a link's too, not what else has its inode. Where the folder does not let
 * us, the file is overwritten.
 */
static int file_replace(const char *path, mode_t mode)
{
	int fd;

	if (unlink(path) == 0 || errno == ENOENT)
		return file_create(path, mode);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static int file_open(const char *path, mode_t mode, bool replace, bool *regular)
{
	int fd = file_create(path, mode);
	struct stat st;

	*regular = true;
	if (fd != -EEXIST)
		return fd;
	if (stat(path, &st) == 0)
		*regular = S_ISREG(st.st_mode);
	else if (errno != ENOENT) /* but for a link to nowhere */
		return -errno;
	if (*regular)
		return replace ? file_replace(path, mode) : -EEXIST;
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

int target_file(struct target *o, const char *path, mode_t mode, bool replace, bool sparse,
		struct mn_error *e)
{
	bool regular;
	int fd = file_open(path, mode, replace, &regular);

	*o = (struct target){.kind = TARGET_NONE};
	if (fd == -EEXIST)
		return mn_fail(e, MN_FAILED, EEXIST, "%s: already exists (-f overwrites)", path);
	if (fd < 0)
		return mn_fail_errno(e, -fd, "%s", path);
	o->kind = regular ? TARGET_FILE : TARGET_DESCRIPTOR;
	o->path = strdup(path);
	o->file = (struct file_sink){.fd = fd, .sparse = sparse && regular};
	o->sink = file_sink(&o->file);
	return 0;
}

int target_object(struct target *o, struct job *job, const char *name, bool replace, bool live,
		  struct mn_error *e)
{
	int err;

	*o = (struct target){.kind = TARGET_OBJECT};
	if (asprintf(&o->path, "%s%s%s", job->below, *job->below ? "/" : "", name) < 0)
		o->path = NULL;
	err = o->path ? object_begin(&o->object, job, o->path, replace, live) : -ENOMEM;
	o->sink = object_sink(&o->object);
	if (!err)
		return 0;
	target_fail(o, err, e);
	free(STEAL_PTR(o->path));
	o->kind = TARGET_NONE;
	return err;
}

int target_fail(const struct target *o, int err, struct mn_error *e)
{
	const char *path = o->path ? o->path : "standard output";

	if (err == -EINVAL && o->kind == TARGET_OBJECT)
		return mn_fail(e, MN_FAILED, EINVAL, "%s: no name for an object (-o gives another)",
			       path);
	return object_fail(err, path, e);
}

/* What zstd(1) keeps of the input; that a user may not give files away is no error. */
static void file_like(int fd, const struct stat *like)
{
	const struct timespec times[2] = {like->st_atim, like->st_mtim};

	if (fchown(fd, like->st_uid, like->st_gid) < 0)
		(void)0;
	fchmod(fd, like->st_mode & 0777);
	futimens(fd, times);
}

static int file_finish(struct target *o, const struct stat *like)
{
	int err = file_sink_end(&o->file);

	if (!err && like)
		file_like(o->file.fd, like);
	/* A network file system may say only here that the bytes found no room. */
	if (close(STEAL_FD(o->file.fd)) < 0 && !err)
		err = -errno;
	return err;
}

int target_finish(struct target *o, const struct stat *like, struct mn_error *e)
{
	int err = 0;

	if (o->kind == TARGET_OBJECT)
		err = object_commit(&o->object);
	else if (o->kind == TARGET_FILE)
		err = file_finish(o, like);
	if (err)
		target_fail(o, err, e);
	else
		free(STEAL_PTR(o->path));
	if (err)
		target_abandon(o);
	o->kind = TARGET_NONE;
	return err;
}

void target_abandon(struct target *o)
{
	if (o->kind == TARGET_OBJECT)
		object_abort(&o->object);
	if (o->kind == TARGET_FILE) {
		cleanup_close(&o->file.fd);
		unlink(o->path);
	}
	free(STEAL_PTR(o->path));
	o->kind = TARGET_NONE;
}
