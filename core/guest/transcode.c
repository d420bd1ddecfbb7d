#include "guest/transcode.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "guest/stop.h"
#include "guest/stream.h"
#include "guest/words.h"
#include "space/layout.h"

#define LOOK_MS	     200		       /* the longest anything waits here */
#define LIVE_NS	     (LOOK_MS * NS_PER_MS / 2) /* how long a live object's bytes wait to be a piece */
#define SETTLE_MS    20 /* between a file's end and belief that its writer still lives */
#define BACK_OFF_NS  NS_PER_S
#define BACK_OFF_MAX 6 /* doublings */

#define PROGRESS_READS 16

/* Stops the command or lets it go on, where that is another thing than before. */
static void apply_hold(struct transcode *t, bool held_before)
{
	if (hold_held(&t->hold) != held_before)
		child_hold(&t->child, !held_before);
}

/* A write of ours waits for room, or no longer (guest/room.h). */
static void room_blocks(void *cookie, bool blocked)
{
	struct transcode *t = cookie;
	bool held = hold_held(&t->hold);

	hold_block(&t->hold, blocked, clock_ns());
	apply_hold(t, held);
}

static void look_at_room(struct transcode *t)
{
	bool held = hold_held(&t->hold);
	int64_t now = clock_ns();
	struct room_view view;

	if (now < t->hold.next_ns || room_look(&t->job.room, &view))
		return;
	hold_look(&t->hold, view.size, view.free, now);
	apply_hold(t, held);
}

static void hold_for_staging(struct transcode *t, bool staged)
{
	bool held = hold_held(&t->hold);

	t->hold.staged = staged;
	apply_hold(t, held);
}

static bool too_long(const struct transcode *t)
{
	return t->options.timeout_ns &&
	       clock_ns() - t->attempt_ns - t->job.room.blocked_ns >= t->options.timeout_ns;
}

/* What the command said of its progress, as much as a pipe holds: one that never ends saying it
 * must not keep us here. */
static void take_progress(struct transcode *t)
{
	char text[4096];

	for (int i = 0; t->child.progressfd >= 0 && i < PROGRESS_READS; i++) {
		ssize_t n = read(t->child.progressfd, text, sizeof(text));

		if (n <= 0)
			return;
		progress_feed(&t->progress, text, (size_t)n);
	}
}

static int look(struct transcode *t)
{
	take_progress(t);
	if (t->options.tick)
		t->options.tick(t->options.tick_cookie);
	look_at_room(t);
	if (stop_check())
		return -EINTR;
	return too_long(t) ? -ETIME : 0;
}

/* poll(2), no longer than until the next look. Time in which the command is held is time blocked.
 */
static int wait_and_count(struct transcode *t, struct pollfd *p, nfds_t count)
{
	bool held = hold_held(&t->hold);
	int64_t since = clock_ns();
	int ms = t->options.live ? (int)(LIVE_NS / NS_PER_MS) : LOOK_MS;
	int n = poll(p, count, held ? (int)(HOLD_LOOK_NS / NS_PER_MS) : ms);

	if (held)
		t->job.room.blocked_ns += clock_ns() - since;
	return n;
}

/* Waits for `fd`, or for the command's end. 1: there is something; 0: not within LOOK_MS. */
static int wait_for(struct transcode *t, int fd)
{
	struct pollfd p[] = {{.fd = fd, .events = POLLIN},
			     {.fd = t->child.progressfd, .events = POLLIN}};
	int n = wait_and_count(t, p, 2);
	int err = look(t);

	if (p[1].revents & POLLHUP && !(p[1].revents & POLLIN)) {
		cleanup_close(&t->child.progressfd);
		t->child.progressfd = -1;
	}
	return err ? err : n > 0 && p[0].revents != 0;
}

/* Its stdout has ended. The command's exit status, or -errno. */
static int wait_end(struct transcode *t, struct object *o)
{
	for (;;) {
		struct pollfd end = {.fd = t->child.keeperfd, .events = POLLIN};
		int err = look(t);

		if (!err && wait_and_count(t, &end, 1) > 0)
			return child_wait(&t->child, 0);
		if (!err)
			err = object_idle(o);
		if (err)
			return err;
	}
}

/* TERM, and KILL when that did not help. Its output is closed first: nobody reads it any more. */
static void end_child(struct transcode *t)
{
	cleanup_close(&t->child.outputfd);
	t->child.outputfd = -1;
	child_terminate(&t->child);
	child_wait(&t->child, (int)(t->options.kill_after_ns / NS_PER_MS));
	child_close(&t->child);
}

/* Copies the command's stdout into the object until it ends. */
static int pump(struct transcode *t, struct object *o)
{
	int64_t since_ns = 0; /* when the first of what is filled came */
	size_t filled = 0;

	for (;;) {
		int ready = wait_for(t, t->child.outputfd);
		ssize_t n = SPACE_PIECE;
		int err = ready < 0 ? ready : 0;

		if (ready > 0) {
			n = read(t->child.outputfd, t->buffer + filled, SPACE_PIECE - filled);
			since_ns = filled == 0 ? clock_ns() : since_ns;
			filled += n > 0 ? (size_t)n : 0;
		}
		if (n < 0 && errno != EINTR)
			err = -errno;
		if (!err && filled > 0 &&
		    (filled == SPACE_PIECE || n == 0 ||
		     (t->options.live && clock_ns() - since_ns >= LIVE_NS))) {
			err = object_write(o, t->buffer, filled);
			filled = 0;
		} else if (!err && ready == 0) {
			err = object_idle(o);
		}
		if (err || n == 0)
			return err;
	}
}

static int object_name(struct transcode *t, const char *name, char path[OBJECT_PATH_MAX + 1])
{
	const char *folder = t->options.files && t->options.name ? t->options.name : "";
	const char *below = t->job.below;
	int n = snprintf(path, OBJECT_PATH_MAX + 1, "%s%s%s%s%s", below, *below ? "/" : "", folder,
			 *folder ? "/" : "", name);

	return n > OBJECT_PATH_MAX ? -ENAMETOOLONG : 0;
}

static void count(struct transcode *t, int64_t bytes)
{
	t->bytes += bytes;
	t->objects++;
}

/* As object_fail(), of what can fail here besides. */
static int fail(int err, const char *path, struct mn_error *e)
{
	switch (err) {
	case -ETIME:
		return mn_fail(e, MN_TIMEOUT, ETIME, "%s: the command took longer than --timeout",
			       path);
	case -EFBIG:
		return mn_fail(e, MN_FAILED, EFBIG,
			       "%s: files that are not complete take more than --staging-size",
			       path);
	case -EINVAL: return mn_fail(e, MN_FAILED, EINVAL, "%s: no name for an object", path);
	default: return object_fail(err, path, e);
	}
}

/* What lies aside (guest/object.h) comes back first, so that the part is the object. */
static int commit_stdout(struct transcode *t, struct object *o)
{
	int64_t bytes;
	struct stat st;
	int err = object_write(o, NULL, 0);

	if (!err && t->options.publishing)
		err = fstat(o->publish.fd, &st) < 0
			      ? -errno
			      : t->options.publishing(t->options.publishing_cookie, &st);
	if (err)
		return err;
	bytes = (int64_t)o->publish.size;
	err = object_commit(o);
	if (!err)
		count(t, bytes);
	return err;
}

/* One attempt whose stdout is the object. The command's status, or -errno and the error. */
static int run_stdout(struct transcode *t, struct mn_error *e)
{
	char path[OBJECT_PATH_MAX + 1];
	struct object o = {.asidefd = -1};
	int status, err = object_name(t, t->options.name, path);

	if (!err)
		err = object_begin(&o, &t->job, path, t->options.replace, t->options.live);
	if (!err)
		err = pump(t, &o);
	status = err ? err : wait_end(t, &o);
	if (status == 0)
		status = commit_stdout(t, &o);
	object_abort(&o);
	return status < 0 ? fail(status, path, e) : status;
}

/* Copies one staged file into an object of its name. A file that went away meanwhile is none. */
static int publish_file(struct transcode *t, const char *name, struct mn_error *e)
{
	char path[OBJECT_PATH_MAX + 1];
	cleanup_fd int fd = staging_take(&t->staging, name);
	struct object o = {.asidefd = -1};
	struct source source;
	bool more = true;
	int err = fd < 0 ? fd : object_name(t, name, path);

	if (fd == -ENOENT)
		return 0;
	if (!err)
		err = source_init(&source, fd);
	if (!err)
		err = object_begin(&o, &t->job, path, true, false);
	while (!err && more) {
		ssize_t n = source_read(&source, t->buffer, SPACE_PIECE, &more);

		err = n < 0 ? (int)n : object_write(&o, t->buffer, (size_t)n);
	}
	if (!err)
		err = object_commit(&o);
	if (!err)
		count(t, (int64_t)source.taken);
	object_abort(&o);
	return err ? fail(err, name, e) : staging_drop(&t->staging);
}

static bool staging_full(const struct transcode *t)
{
	return t->options.staging_size && staging_bytes(&t->staging) > t->options.staging_size;
}

/* Whether the command is there still, a moment later. */
static bool lives_on(const struct transcode *t)
{
	struct pollfd end = {.fd = t->child.keeperfd, .events = POLLIN};

	return poll(&end, 1, SETTLE_MS) < 1;
}

/*
 * A command that dies closes its files too, just before its end can be seen. So a file is believed
 * complete when its writer is there still a moment later; one moment does for all that were known
 * to be complete before it.
 */
static bool settled(struct transcode *t)
{
	if (t->staging.fresh && !lives_on(t))
		return false;
	t->staging.fresh = false;
	return true;
}

/* To sum up the folder with each of its files would cost more than to publish them. */
static void look_at_staging(struct transcode *t)
{
	int64_t now = clock_ns();

	if (now - t->staging_look_ns < LOOK_MS * NS_PER_MS)
		return;
	t->staging_look_ns = now;
	if (staging_full(t))
		hold_for_staging(t, true);
}

static int publish_ready(struct transcode *t, struct mn_error *e)
{
	char name[OBJECT_PATH_MAX + 1];
	int err;

	while ((err = staging_next(&t->staging, name)) == 0) {
		if (!settled(t))
			return 0;
		look_at_staging(t);
		err = publish_file(t, name, e);
		if (err)
			return err;
	}
	return err == -EAGAIN ? 0 : fail(err, t->staging.path, e);
}

/*
 * What takes room in the folder behind publish_ready() is not complete, unless the command has
 * written on meanwhile: so it is stopped before that is believed.
 */
static int keep_bound(struct transcode *t, struct mn_error *e)
{
	int err = 0;

	if (staging_full(t)) {
		hold_for_staging(t, true);
		if (!lives_on(t))
			return 0;
		err = publish_ready(t, e);
		if (!err && staging_full(t))
			err = fail(-EFBIG, t->options.argv[0], e);
	}
	hold_for_staging(t, false);
	return err;
}

static int publish_left(struct transcode *t, struct mn_error *e)
{
	char name[OBJECT_PATH_MAX + 1];
	int err;

	while ((err = staging_left(&t->staging, name)) == 0) {
		err = publish_file(t, name, e);
		if (err)
			return err;
	}
	return err == -ENOENT ? 0 : fail(err, t->staging.path, e);
}

/* One attempt whose files are the objects. As run_stdout(). */
static int run_files(struct transcode *t, struct mn_error *e)
{
	int status, err = 0;

	while ((status = child_wait(&t->child, 0)) == -EAGAIN) {
		int ready = wait_for(t, t->staging.inotifyfd);

		if (ready < 0)
			return fail(ready, t->options.argv[0], e);
		err = publish_ready(t, e);
		if (!err)
			err = keep_bound(t, e);
		if (err)
			return err;
	}
	if (status == 0)
		err = publish_left(t, e);
	return err ? err : status;
}

static void set_environment(const struct transcode *t)
{
	char attempt[12];

	snprintf(attempt, sizeof(attempt), "%d", t->attempts);
	setenv("MEMNET_SPACE", t->options.to, 1);
	setenv("MEMNET_OBJECT", t->options.name ? t->options.name : "", 1);
	setenv("MEMNET_OUTPUT", t->staging.path ? t->staging.path : "", 1);
	setenv("MEMNET_PROGRESS", "pipe:3", 1);
	setenv("MEMNET_ATTEMPT", attempt, 1);
	if (t->options.input)
		setenv("MEMNET_INPUT", t->options.input, 1);
}

static int start_child(struct transcode *t, struct mn_error *e)
{
	const struct word_value values[] = {
		{"{output}", t->staging.path},
		{"{}", t->options.input},
		{NULL, NULL},
	};
	char **words = words_expand(t->options.argv, values);
	int err;

	if (!words)
		return mn_fail_errno(e, ENOMEM, "%s", t->options.argv[0]);
	set_environment(t);
	err = child_start(&t->child, words, !t->options.files, t->staging.path, e);
	words_free(words);
	return err;
}

/* A command that has no name for its object, or one that is taken, is not started. */
static int check_name(struct transcode *t, struct mn_error *e)
{
	char path[OBJECT_PATH_MAX + 1];
	int err = object_name(t, t->options.name, path);

	if (!err && !object_path_valid(path))
		err = -EINVAL;
	if (!err && !t->options.replace && object_taken(t->job.rootfd, path))
		err = -EEXIST;
	return err ? fail(err, path, e) : 0;
}

static int attempt(struct transcode *t, struct mn_error *e)
{
	int status, err;

	t->attempts++;
	t->progress = (struct progress){0};
	t->hold = (struct hold){.next_ns = 0};
	t->attempt_ns = clock_ns() - t->job.room.blocked_ns;
	err = t->options.files ? staging_open(&t->staging, e) : check_name(t, e);
	if (!err)
		err = start_child(t, e);
	if (err) {
		staging_close(&t->staging);
		return err;
	}
	status = t->options.files ? run_files(t, e) : run_stdout(t, e);
	if (t->child.keeper)
		end_child(t);
	look(t);
	child_close(&t->child);
	staging_close(&t->staging);
	return status;
}

/* Sleeps before the next attempt; whether there shall be one. */
static bool try_again(const struct transcode *t, int status)
{
	int doublings = t->attempts - 1 < BACK_OFF_MAX ? t->attempts - 1 : BACK_OFF_MAX;
	int64_t until = clock_ns() + (BACK_OFF_NS << doublings);

	/* What the command did can go better; what we failed at cannot, but for its deadline. */
	if (t->attempts - t->options.attempts > t->options.retries || status == 0 ||
	    (status < 0 && status != -ETIME))
		return false;
	while (!stop_check() && clock_ns() < until)
		poll(NULL, 0, LOOK_MS);
	return !stop_check();
}

static void record_progress(struct record *r, const struct progress *p)
{
	r->frames = p->frames;
	r->media_us = p->out_time_us;
	r->speed_milli = (int64_t)(p->speed * 1000);
}

static void close_job(struct transcode *t, int status)
{
	struct record *r = &t->job.record;
	struct rusage children = {0};

	getrusage(RUSAGE_CHILDREN, &children);
	r->cpu_ns = (children.ru_utime.tv_sec + children.ru_stime.tv_sec) * NS_PER_S +
		    (children.ru_utime.tv_usec + children.ru_stime.tv_usec) * 1000;
	r->bytes_out = t->bytes;
	r->objects = t->objects;
	record_progress(r, &t->progress);
	job_end(&t->job, stop_signal() ? RECORD_INTERRUPTED : status ? RECORD_FAILED : RECORD_DONE);
	t->cpu_ns = r->cpu_ns;
	t->blocked_ns = r->blocked_ns;
	t->end_ns = clock_ns();
}

int transcode_run(struct transcode *t, const struct transcode_options *options, struct mn_error *e)
{
	int status;

	*t = (struct transcode){.options = *options,
				.attempts = options->attempts,
				.staging = STAGING_INIT,
				.start_ns = clock_ns()};
	t->buffer = aligned_alloc(4096, SPACE_PIECE);
	if (!t->buffer)
		return mn_fail_errno(e, ENOMEM, "%s", options->argv[0]);
	status = job_begin(&t->job, options->to, RECORD_TRANSCODE, options->max_wait_ns, e);
	if (status == 0) {
		t->job.room.hold = room_blocks;
		t->job.room.hold_cookie = t;
		t->job.record.bytes_in = options->bytes_in;
		if (options->arrival_ns)
			t->job.record.arrival_ns = options->arrival_ns;
		do
			status = attempt(t, e);
		while (try_again(t, status));
		close_job(t, status);
	}
	free(STEAL_PTR(t->buffer));
	return status;
}
