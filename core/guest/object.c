#include "guest/object.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/lock.h"
#include "guest/stop.h"

static bool taken(int rootfd, const char *path)
{
	struct stat st;

	return fstatat(rootfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The marker must not be seen unlocked (guest/job.h). */
static int show(struct object *o)
{
	int err = lock_byte_wait(o->job->lockfd, JOB_LOCK_HOUSE);

	if (err)
		return err;
	err = publish_show(&o->publish, o->path, o->replace);
	unlock_byte(o->job->lockfd, JOB_LOCK_HOUSE);
	return err;
}

int object_begin(struct object *o, struct job *job, const char *path, bool replace, bool live)
{
	int err;

	memset(o, 0, sizeof(*o));
	o->job = job;
	o->path = path;
	o->replace = replace;
	o->publish = (struct publish)PUBLISH_INIT;
	if (!object_path_valid(path))
		return -EINVAL;
	if (!replace && taken(job->rootfd, path))
		return -EEXIST;
	do
		err = publish_begin(&o->publish, job->rootfd, job->record.id, job->parts++);
	while (err && (err = job_wait(job, err, 0)) == 0);
	while (live && !err && o->publish.markerfd < 0) {
		err = show(o);
		if (err)
			err = job_wait(job, err, 1);
	}
	room_taken(&job->room);
	if (!err && live)
		err = beat_start(&o->beat, o->publish.markerfd);
	if (err)
		object_abort(o);
	return err;
}

int object_write(struct object *o, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = stop_check() ? -EINTR : publish_write(&o->publish, p, size);
		int err = n < 0 ? job_wait(o->job, (int)n, size) : 0;

		if (err)
			return err;
		if (n <= 0)
			continue;
		room_taken(&o->job->room);
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int object_sink_write(void *cookie, const void *data, size_t size)
{
	return object_write(cookie, data, size);
}

struct sink object_sink(struct object *o)
{
	return (struct sink){.write = object_sink_write, .cookie = o};
}

int object_commit(struct object *o)
{
	int err;

	beat_stop(&o->beat);
	do
		err = publish_commit(&o->publish, o->path, o->replace);
	while (err && (err = job_wait(o->job, err, 0)) == 0);
	room_taken(&o->job->room);
	return err;
}

void object_abort(struct object *o)
{
	beat_stop(&o->beat);
	publish_abort(&o->publish);
	if (o->job)
		room_taken(&o->job->room);
}
