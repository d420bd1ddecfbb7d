#include "guest/compress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "guest/stop.h"

static void levels_begin(struct compress *c)
{
	const struct compress_options *o = &c->options;
	struct adapt adapt;

	adapt_init(&adapt, o->encode.level, o->adapt_min, o->adapt_max);
	levels_init(&c->levels, &adapt, o->encode.workers, c->has_job ? &c->job.room : NULL,
		    o->to && !o->live);
}

int compress_open(struct compress *c, const struct compress_options *options, struct mn_error *e)
{
	int err;

	*c = (struct compress){.options = *options, .start_ns = clock_ns()};
	if (options->adapt_max)
		c->options.encode.pacer = &c->levels.hook;
	err = encoder_open(&c->encoder, &c->options.encode, e);
	if (!err && options->to) {
		err = job_begin(&c->job, options->to, RECORD_COMPRESS, options->max_wait_ns, e);
		c->has_job = !err;
		if (err == -EINTR)
			mn_fail(e, MN_FAILED, EINTR, "%s: interrupted", options->to);
	}
	if (err)
		encoder_close(c->encoder);
	else
		levels_begin(c);
	return err;
}

static bool is_stdin(const struct input *input)
{
	return strcmp(input->path, "-") == 0;
}

static const char *input_label(const struct input *input)
{
	return is_stdin(input) ? "standard input" : input->path;
}

/* A FIFO is opened as it is meant, waiting for its writer. Anything else must not keep us. */
static int open_flags(const char *path, bool force)
{
	struct stat st;

	if (force || (lstat(path, &st) == 0 && S_ISFIFO(st.st_mode)))
		return O_RDONLY | O_CLOEXEC | O_NOCTTY | (force ? 0 : O_NOFOLLOW);
	return O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK;
}

/* As zstd(1): a link or device is read only by force. */
static int input_open(const struct compress *c, const struct input *input, struct stat *st,
		      struct mn_error *e)
{
	bool force = c->options.replace;
	cleanup_fd int fd = -1;

	if (is_stdin(input)) {
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		if (fd < 0 || fstat(fd, st) < 0)
			return mn_fail_errno(e, errno, "standard input");
		return STEAL_FD(fd);
	}
	fd = open(input->path, open_flags(input->path, force));
	if (fd < 0 && errno == ELOOP)
		return mn_fail(e, MN_FAILED, ELOOP, "%s: is a symbolic link, ignored (-f reads it)",
			       input->path);
	if (fd < 0 || fstat(fd, st) < 0)
		return mn_fail_errno(e, errno, "%s", input->path);
	if (S_ISDIR(st->st_mode))
		return mn_fail(e, MN_FAILED, EISDIR, "%s: is a folder, ignored (-r goes into it)",
			       input->path);
	if (!S_ISREG(st->st_mode) && !S_ISFIFO(st->st_mode) && !force)
		return mn_fail(e, MN_FAILED, EINVAL,
			       "%s: is no regular file, ignored (-f reads it)", input->path);
	return STEAL_FD(fd);
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t len = strlen(name), tail = strlen(suffix);

	return len > tail && strcmp(name + len - tail, suffix) == 0;
}

/* What the output for `name` is called; the caller frees. */
static char *output_name(const struct compress *c, const char *name, struct mn_error *e)
{
	size_t len = strlen(name);
	char *result = NULL;

	if (c->options.action == ACTION_COMPRESS) {
		if (asprintf(&result, "%s.zst", name) < 0)
			return NULL;
	} else if (ends_in(name, ".zst")) {
		result = strndup(name, len - 4);
	} else if (ends_in(name, ".zstd")) {
		result = strndup(name, len - 5);
	} else if (ends_in(name, ".tzst")) {
		result = strndup(name, len - 1);
		if (result)
			memcpy(result + len - 5, ".tar", 5);
	} else {
		mn_fail(e, MN_FAILED, EINVAL, "%s: unknown suffix, ignored (-o names the output)",
			name);
	}
	return result;
}

/* The input whose mode, owner and times an output that is an ordinary file takes on, or NULL. */
static const struct stat *like(const struct compress *c, const struct input *input,
			       const struct stat *in)
{
	return c->options.shared || is_stdin(input) || !S_ISREG(in->st_mode) ? NULL : in;
}

/* Until it has its mode nobody else reads the output of an input that others may not read. */
static int target_open(struct compress *c, struct target *o, const char *name, bool closed,
		       struct mn_error *e)
{
	const struct compress_options *options = &c->options;

	if (options->to)
		return target_object(o, &c->job, name, options->replace, options->live, e);
	return target_file(o, name, closed ? 0600 : 0666, options->replace,
			   options->action == ACTION_DECOMPRESS && !options->no_sparse, e);
}

static bool to_stdout(const struct compress *c, const struct input *input)
{
	const struct compress_options *o = &c->options;

	return !o->to && (o->output ? strcmp(o->output, "-") == 0 : is_stdin(input));
}

/*
 * The file `name`, standard output where it is NULL, would be gone before its bytes are read, or be
 * read behind its own end for ever.
 */
static int refuse_itself(const struct input *input, const struct stat *in, const char *name,
			 struct mn_error *e)
{
	struct stat out;

	if (!S_ISREG(in->st_mode) || (name ? stat(name, &out) : fstat(STDOUT_FILENO, &out)) < 0 ||
	    in->st_dev != out.st_dev || in->st_ino != out.st_ino)
		return 0;
	return mn_fail(e, MN_FAILED, EINVAL, "%s: is the output itself (-o names another)",
		       input_label(input));
}

int compress_check(const struct compress_options *o, const struct inputs *inputs,
		   struct mn_error *e)
{
	struct stat in;
	int err = 0;

	if (!o->shared || !o->replace || o->to || o->action == ACTION_TEST ||
	    strcmp(o->output, "-") == 0)
		return 0;
	for (size_t i = 0; i < inputs->count && !err; i++) {
		if (stat(inputs->list[i].path, &in) == 0)
			err = refuse_itself(&inputs->list[i], &in, o->output, e);
	}
	return err;
}

/* The output's name: the one that is wanted, or made from the input's, `made`, for the caller to
 * free. NULL and the error. */
static const char *choose_name(const struct compress *c, const struct input *input, char **made,
			       struct mn_error *e)
{
	if (c->options.output)
		return c->options.output;
	mn_fail_errno(e, ENOMEM, "%s", input->path);
	*made = output_name(c, c->options.to ? input->name : input->path, e);
	return *made;
}

/* A live object replaces the one of its name at once; others when they are whole, with no harm. */
static int refuse_live_itself(const struct compress_options *o, const struct input *input,
			      const struct stat *in, const char *name, struct mn_error *e)
{
	cleanup_free char *path = NULL;

	if (!o->live || !o->replace)
		return 0;
	if (asprintf(&path, "%s/%s", o->to, name) < 0) {
		path = NULL;
		return mn_fail_errno(e, ENOMEM, "%s", name);
	}
	return refuse_itself(input, in, path, e);
}

/* The output of this input: its own, or the one that all share. */
static int target_choose(struct compress *c, const struct input *input, const struct stat *in,
			 struct target *own, struct target **out, struct mn_error *e)
{
	const char *name = NULL;
	cleanup_free char *made = NULL;
	int err = 0;

	*out = c->options.shared ? &c->shared : own;
	if (c->options.action == ACTION_TEST)
		return target_null(*out = own);
	if (!to_stdout(c, input) && !(name = choose_name(c, input, &made, e)))
		return -EINVAL;
	if (c->options.to)
		err = refuse_live_itself(&c->options, input, in, name, e);
	else
		err = refuse_itself(input, in, name, e);
	if (err || (*out)->kind != TARGET_NONE)
		return err;
	if (!name)
		return target_descriptor(*out, STDOUT_FILENO);
	err = target_open(c, *out, name, like(c, input, in) != NULL, e);
	c->spoilt |= err && c->options.shared;
	return err;
}

/* Remembers that the sink, not the source, was what failed. */
struct watched {
	struct sink sink;
	int err;
	struct compress *c;
	const struct object *object;
};

static void followed(struct watched *w, int64_t began_ns, size_t size)
{
	struct levels *p = &w->c->levels;

	p->written += size;
	p->held = p->whole ? w->object->publish.size : 0;
	p->waited_ns =
		w->c->has_job ? w->c->job.room.blocked_ns : p->waited_ns + clock_ns() - began_ns;
}

static int watched_write(void *cookie, const void *data, size_t size)
{
	struct watched *w = cookie;
	int64_t began = clock_ns();

	w->err = sink_write(&w->sink, data, size);
	followed(w, began, size);
	if (w->c->options.tick)
		w->c->options.tick(w->c->options.tick_cookie);
	return w->err;
}

static int watched_idle(void *cookie)
{
	struct watched *w = cookie;

	w->err = sink_idle(&w->sink);
	if (w->c->options.tick)
		w->c->options.tick(w->c->options.tick_cookie);
	return w->err;
}

static int code_all(struct compress *c, struct source *from, const struct sink *to, bool own)
{
	int err;

	if (c->options.action != ACTION_COMPRESS)
		return decode(c->encoder, from, to, c->options.pass_through, &c->counts);
	err = encode(c->encoder, from, to, c->options.live, &c->counts);
	if (c->options.encode.pacer)
		levels_input_done(&c->levels, &c->counts);
	return !err && own ? encode_end(c->encoder, to, &c->counts) : err;
}

static int code(struct compress *c, const struct input *input, int fd, struct target *o,
		struct mn_error *e)
{
	struct watched watched = {.sink = o->sink, .c = c, .object = &o->object};
	struct sink sink = {.write = watched_write, .idle = watched_idle, .cookie = &watched};
	struct source source;
	int err = source_init(&source, fd);

	c->counts = (struct encode_counts){0};
	c->input_path = input->path;
	c->input_start_ns = clock_ns();
	c->input_size = source.size;
	if (!err)
		err = code_all(c, &source, &sink, o != &c->shared);
	if (!err)
		return 0;
	/* A write that failed may have got half-way. */
	if (o == &c->shared && (c->counts.out > 0 || watched.err))
		c->spoilt = true;
	return watched.err || err == -EINTR ? target_fail(o, err, e)
					    : encode_fail(input_label(input), err, e);
}

static void count(struct compress *c)
{
	c->total.in += c->counts.in;
	c->total.out += c->counts.out;
	c->counts = (struct encode_counts){0};
}

/*
 * What was read is what the file had when it was opened: what came in since is not in the output,
 * and the name may be another file's by now. As zstd(1) does it, of a link that -f read the link is
 * removed, and nothing but a regular file.
 */
static int remove_input(const struct compress *c, const struct input *input, const struct stat *was,
			struct mn_error *e)
{
	int flags = c->options.replace ? 0 : AT_SYMLINK_NOFOLLOW;
	struct stat now;

	if (!c->options.remove || c->options.shared || is_stdin(input))
		return 0;
	if (!S_ISREG(was->st_mode)) {
		log_warn("%s: is kept: --rm is for regular files", input->path);
		return 0;
	}
	if (fstatat(AT_FDCWD, input->path, &now, flags) == 0 && !io_same_content(was, &now))
		return mn_fail(e, MN_FAILED, ESTALE,
			       "%s: changed while it was read, and is kept (compress it again with "
			       "-f)",
			       input->path);
	if (unlink(input->path) < 0)
		return mn_fail_errno(e, errno, "%s: cannot be removed", input->path);
	return 0;
}

static int one_input(struct compress *c, const struct input *input, struct mn_error *e)
{
	struct target own = {.kind = TARGET_NONE}, *o;
	cleanup_fd int fd = -1;
	struct stat st;
	int err;

	fd = input_open(c, input, &st, e);
	if (fd < 0)
		return fd;
	err = target_choose(c, input, &st, &own, &o, e);
	if (err)
		return err;
	err = code(c, input, fd, o, e);
	if (o == &own && err)
		target_abandon(o);
	else if (o == &own)
		err = target_finish(o, like(c, input, &st), e);
	if (err)
		return err;
	count(c);
	c->objects += o == &own;
	err = remove_input(c, input, &st, e);
	c->done += !err;
	return err;
}

int compress_input(struct compress *c, const struct input *input, struct mn_error *e)
{
	int err = stop_check();

	if (err)
		return mn_fail(e, MN_FAILED, EINTR, "%s: interrupted", input->path);
	err = one_input(c, input, e);
	if (err)
		c->failed++;
	return err;
}

bool compress_lost(const struct compress *c)
{
	return c->spoilt && c->shared.kind != TARGET_DESCRIPTOR;
}

static int publish_shared(struct compress *c, struct mn_error *e)
{
	int err = encode_end(c->encoder, &c->shared.sink, &c->total);

	if (err) {
		target_fail(&c->shared, err, e);
		target_abandon(&c->shared);
		return err;
	}
	err = target_finish(&c->shared, NULL, e);
	c->objects += !err;
	return err;
}

/* No input is done whose output is not there. */
static void give_up_shared(struct compress *c)
{
	target_abandon(&c->shared);
	c->failed += c->done;
	c->done = 0;
	c->total = (struct encode_counts){0};
}

static int close_shared(struct compress *c, struct mn_error *e)
{
	bool stopped = stop_signal() && c->shared.kind != TARGET_DESCRIPTOR;
	int err = 0;

	if (c->shared.kind == TARGET_NONE)
		return 0;
	if (compress_lost(c) && !stopped)
		err = mn_fail(e, MN_FAILED, ECANCELED, "%s: is given up: an input failed half-way",
			      c->shared.path);
	else if (c->done > 0 && !c->spoilt && !stopped)
		err = publish_shared(c, e);
	if (err || stopped || c->done == 0)
		give_up_shared(c);
	return err;
}

static void close_job(struct compress *c)
{
	struct record *r = &c->job.record;

	r->bytes_in = (int64_t)c->total.in;
	r->bytes_out = (int64_t)c->total.out;
	r->objects = (int64_t)c->objects;
	job_end(&c->job, stop_signal() ? RECORD_INTERRUPTED
			 : c->failed   ? RECORD_FAILED
				       : RECORD_DONE);
	c->blocked_ns = r->blocked_ns;
}

int compress_close(struct compress *c, struct mn_error *e)
{
	int err = close_shared(c, e);

	if (c->has_job)
		close_job(c);
	encoder_close(c->encoder);
	c->end_ns = clock_ns();
	c->cpu_ns = clock_cpu_ns();
	return err;
}
