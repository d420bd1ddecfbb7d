#include "guest/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "guest/stop.h"
#include "space/layout.h"

/* Records and markers, which are in a space besides parts. */
#define ALONE_SLACK ((uint64_t)64 * 1024)

/* How long a job keeps its room that found no other place for its bytes. */
#define ASIDE_AGAIN_NS (10 * NS_PER_S)

/* How often one object begins again because the host emptied the space. */
#define RENEWALS_MAX 16

bool object_taken(int rootfd, const char *path)
{
	struct stat st;

	return fstatat(rootfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The marker must not be seen unlocked (guest/job.h). */
static int show(struct object *o)
{
	int err = job_lock(o->job);

	if (err)
		return err;
	err = publish_show(&o->publish, o->path, o->replace);
	job_unlock(o->job);
	return err;
}

static size_t piece_of(uint64_t left)
{
	return left < SPACE_PIECE ? (size_t)left : SPACE_PIECE;
}

/* Since Linux 6.12, 9p tells a failed write's error once more to the next read. */
static ssize_t part_read(const struct publish *p, char *piece, uint64_t at)
{
	const size_t size = piece_of(p->size - at);
	ssize_t n = pread(p->fd, piece, size, (off_t)at);

	if (n < 0 && errno == ENOSPC)
		n = pread(p->fd, piece, size, (off_t)at);
	return n;
}

/* Copies the part into the unnamed file `fd`. */
static int aside_copy(const struct publish *p, int fd)
{
	cleanup_free char *piece = malloc(SPACE_PIECE);
	uint64_t at = 0;

	while (piece && at < p->size) {
		ssize_t n = part_read(p, piece, at);
		int err = n <= 0 ? (n < 0 ? -errno : -EIO) : io_write_all(fd, piece, (size_t)n);

		if (err)
			return err;
		at += (uint64_t)n;
	}
	return piece ? 0 : -ENOMEM;
}

/* Whether there is room to give back, and it can be. */
static bool can_give(const struct object *o)
{
	return o->publish.part[0] && o->publish.size > 0 && clock_ns() >= o->no_aside_ns;
}

/* A copy of the part in that folder: its descriptor, or -errno. */
static int aside_in(const char *folder, const struct publish *p)
{
	cleanup_fd int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : aside_copy(p, fd);

	return err ? err : STEAL_FD(fd);
}

static int no_aside(struct object *o, int err)
{
	o->no_aside_ns = clock_ns() + ASIDE_AGAIN_NS;
	if (!o->warned_aside)
		log_warn("%s: no place to keep %llu bytes while others finish: %s (TMPDIR names "
			 "one)",
			 o->path, (unsigned long long)o->publish.size, strerror(-err));
	o->warned_aside = true;
	return err;
}

/* Copies what is in the part to where it keeps. 0, or -errno: there is no such place now. */
static int set_aside(struct object *o)
{
	const char *folders[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
	int fd = -ENOENT;

	if (o->asidefd >= 0) /* it still lies there */
		return 0;
	for (unsigned i = 0; i < sizeof(folders) / sizeof(*folders) && fd < 0; i++) {
		if (folders[i] && *folders[i])
			fd = aside_in(folders[i], &o->publish);
	}
	if (fd < 0)
		return no_aside(o, fd);
	o->aside = o->publish.size;
	o->asidefd = fd;
	return 0;
}

/* Gives the part's room back. Where there is no place for its bytes it keeps them; no error. */
static int give_back(struct object *o)
{
	return set_aside(o) ? 0 : publish_rewind(&o->publish);
}

static int begin_once(struct object *o)
{
	struct job *job = o->job;
	unsigned serial = job->parts++;
	int err = publish_begin(&o->publish, job->rootfd, job->record.id, serial);

	/* The host emptied the space. */
	if (err == -ENOENT && (err = job_renew(job)) == 0)
		err = publish_begin(&o->publish, job->rootfd, job->record.id, serial);
	return err;
}

static int begin_part(struct object *o)
{
	int err;

	do
		err = begin_once(o);
	while (err && (err = job_wait(o->job, err, 0)) == 0);
	return err;
}

int object_begin(struct object *o, struct job *job, const char *path, bool replace, bool live)
{
	int err;

	*o = (struct object){.job = job,
			     .path = path,
			     .replace = replace,
			     .asidefd = -1,
			     .publish = PUBLISH_INIT};
	if (!object_path_valid(path))
		return -EINVAL;
	if (job_keep_parent(job, path) && !replace && object_taken(job->rootfd, path))
		return -EEXIST;
	err = begin_part(o);
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

/*
 * The host emptied the space: the part has lost its name, but through us its bytes are there. The
 * page first, or the next job takes the new part for a dead one's. 0, -ENOENT, or as job_wait().
 */
static int renew(struct object *o)
{
	int err;

	if (!o->publish.part[0] || o->renewals++ >= RENEWALS_MAX || set_aside(o))
		return -ENOENT;
	publish_abort(&o->publish);
	while ((err = job_renew(o->job)) && (err = job_wait(o->job, err, RECORD_MAX)) == 0)
		;
	return err ? err : begin_part(o);
}

/* Blocked though nobody else has anything in the space: no client can make room for it. */
static bool alone(const struct object *o)
{
	struct room_view view;
	struct stat st;

	if (room_look(&o->job->room, &view) || fstat(o->publish.fd, &st) < 0)
		return false;
	return view.size - view.free <= (uint64_t)st.st_blocks * 512 + view.unit + ALONE_SLACK;
}

static void warn_alone(struct object *o)
{
	if (o->warned || !o->publish.part[0] || !alone(o))
		return;
	o->warned = true;
	log_warn("%s: fills its whole space and has more to come, waiting (memnet share resize on "
		 "the host, or --live)",
		 o->path);
}

/*
 * Waits for a reason to try again. 0; -ECANCELED: give the room back; -ECONNABORTED: dropped; or
 * -errno. The host frees the room of what it drops, so that the wait may end by that; where others
 * take that room, the wait ends because the write is to be tried.
 */
static int blocked(struct object *o, int err, uint64_t want)
{
	if (err != -ENOSPC && err != -EDQUOT)
		return err;
	warn_alone(o);
	job_look_around(o->job);
	while ((err = room_step(&o->job->room, want)) == -EAGAIN) {
		if (turn_step(&o->job->turn) && can_give(o))
			return -ECANCELED;
	}
	return publish_dropped(&o->publish) ? -ECONNABORTED : err;
}

/* Appends as much as it may: *data and *size tell how far it got. As blocked(). */
static int put(struct object *o, const char **data, size_t *size)
{
	while (*size > 0) {
		ssize_t n = stop_check() ? -EINTR : publish_write(&o->publish, *data, *size);
		int err = n <= 0 ? blocked(o, n < 0 ? (int)n : -ENOSPC, *size) : 0;

		if (err)
			return err;
		if (n <= 0)
			continue;
		turn_progress(&o->job->turn);
		*data += n;
		*size -= (size_t)n;
	}
	return 0;
}

/* Whether what was given back may be taken again out of turn: without it mattering to an elder. */
static bool plenty(const struct object *o)
{
	const struct room_view *view = &o->job->room.seen;

	if (view->free / 2 < o->aside)
		return false;
	return view->free > view->size / 2 || !turn_hungry(&o->job->turn);
}

static int wait_turn(struct object *o)
{
	int err = turn_take(&o->job->turn) ? 0 : room_look(&o->job->room, &o->job->room.seen);

	o->job->room.alone = false;
	while (!err && !turn_take(&o->job->turn) && !plenty(o))
		err = room_step(&o->job->room, 0);
	return err;
}

/* Takes back what was given. As blocked(). */
static int take_back(struct object *o)
{
	cleanup_free char *piece = malloc(SPACE_PIECE);
	int err = piece ? wait_turn(o) : -ENOMEM;

	while (!err && o->publish.size < o->aside) {
		ssize_t n = pread(o->asidefd, piece, piece_of(o->aside - o->publish.size),
				  (off_t)o->publish.size);
		const char *data = piece;
		size_t size = n > 0 ? (size_t)n : 0;

		err = n <= 0 ? -EIO : put(o, &data, &size);
	}
	if (err)
		return err;
	cleanup_close(&o->asidefd);
	o->asidefd = -1;
	return 0;
}

int object_write(struct object *o, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0 || o->asidefd >= 0) {
		int err = o->asidefd >= 0 ? take_back(o) : 0;

		if (!err)
			err = put(o, &p, &size);
		if (err == -ECANCELED)
			err = give_back(o);
		if (err == -ENOENT)
			err = publish_dropped(&o->publish) ? -ECONNABORTED : renew(o);
		if (err)
			return err;
	}
	room_taken(&o->job->room);
	return 0;
}

int object_idle(struct object *o)
{
	/* An elder that has nothing to write keeps others from their turn. */
	if (o->asidefd < 0)
		turn_end(&o->job->turn);
	return o->asidefd < 0 && can_give(o) && turn_hungry(&o->job->turn) ? give_back(o) : 0;
}

static int object_sink_write(void *cookie, const void *data, size_t size)
{
	return object_write(cookie, data, size);
}

static int object_sink_idle(void *cookie)
{
	return object_idle(cookie);
}

struct sink object_sink(struct object *o)
{
	return (struct sink){.write = object_sink_write, .idle = object_sink_idle, .cookie = o};
}

/*
 * A marker left at the name would have the whole object count as live, and removed with its dead
 * writer.
 */
static int give_name(struct object *o)
{
	int err;

	if (!o->publish.part[0] || !job_has_live(o->job))
		return publish_commit(&o->publish, o->path, o->replace);
	err = job_lock(o->job);
	if (err)
		return err;
	err = job_free_name(o->job, o->path);
	if (!err)
		err = publish_commit(&o->publish, o->path, o->replace);
	job_unlock(o->job);
	return err;
}

/* One try: what lies aside comes back, and then the name. */
static int commit(struct object *o)
{
	int err = object_write(o, NULL, 0);

	if (!err)
		err = give_name(o);
	return err == -ENOENT && publish_dropped(&o->publish) ? -ECONNABORTED : err;
}

int object_commit(struct object *o)
{
	int err;

	beat_stop(&o->beat);
	do {
		err = commit(o);
		if (err == -ENOENT)
			err = renew(o);
		else if (err)
			err = job_wait(o->job, err, 0);
		else
			break;
	} while (!err);
	room_taken(&o->job->room);
	if (!err)
		turn_end(&o->job->turn);
	return err;
}

int object_fail(int err, const char *path, struct mn_error *e)
{
	switch (err) {
	case -EINTR: return mn_fail(e, MN_FAILED, EINTR, "%s: interrupted", path);
	case -ETIMEDOUT:
		return mn_fail(e, MN_TIMEOUT, ETIMEDOUT,
			       "%s: no room in the space (memnet share resize on the host, or a "
			       "longer --max-wait)",
			       path);
	case -ECONNABORTED:
		return mn_fail(
			e, MN_FAILED, ECONNABORTED,
			"%s: dropped on the host: its reader did not come back (run it again)",
			path);
	case -EEXIST:
		return mn_fail(e, MN_FAILED, EEXIST, "%s: already in the space (-f replaces it)",
			       path);
	default: return mn_fail_errno(e, -err, "%s", path);
	}
}

void object_abort(struct object *o)
{
	if (!o->job)
		return;
	beat_stop(&o->beat);
	publish_abort(&o->publish);
	room_taken(&o->job->room);
	turn_end(&o->job->turn);
	cleanup_close(&o->asidefd);
	o->asidefd = -1;
}
