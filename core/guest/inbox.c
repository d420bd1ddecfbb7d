#include "guest/inbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/list.h"
#include "guest/arrivals.h"
#include "guest/attempt.h"
#include "guest/claim.h"
#include "guest/stop.h"
#include "guest/words.h"
#include "space/layout.h"
#include "space/live.h"

#define LOOK_MS	     200
#define AGAIN_NS     NS_PER_S /* to the next look at what is not whole, or another's */
#define BACK_OFF_MAX 6	      /* doublings of a second */

struct entry {
	struct list link; /* in the order they landed */
	char *name;
	int64_t landed_ns;
	int64_t not_before_ns;
	int attempts; /* ended, of the command */
	int troubles; /* in a row, of ours */
	struct claim claim;
	struct attempt attempt;
	unsigned blocks_told;
};

struct inbox {
	const struct inbox_options *options;
	struct inbox_counts *counts;
	char *path; /* absolute */
	int dirfd, donefd, failedfd;
	struct arrivals arrivals;
	struct rlimit files; /* as we were given it: the command's */
	bool stopping;
	struct list entries;
};

/* Entries ---------------------------------------------------------------------------------------
 */

static struct entry *entry_of(struct list *l)
{
	return list_entry(l, struct entry, link);
}

static struct entry *find(struct inbox *in, const char *name)
{
	for (struct list *l = in->entries.next; l != &in->entries; l = l->next) {
		if (strcmp(entry_of(l)->name, name) == 0)
			return entry_of(l);
	}
	return NULL;
}

static void forget(struct entry *entry)
{
	list_remove(&entry->link);
	attempt_drop(&entry->attempt);
	claim_drop(&entry->claim);
	free(entry->name);
	free(entry);
}

/* A name to look at; one that waits is looked at now. */
static int notice(void *cookie, const char *name)
{
	struct inbox *in = cookie;
	struct entry *entry = find(in, name);

	if (name[0] == '.')
		return 0;
	if (entry) {
		if (entry->claim.fd < 0)
			entry->not_before_ns = 0;
		return 0;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry || !(entry->name = strdup(name))) {
		free(entry);
		return -ENOMEM;
	}
	entry->claim = (struct claim)CLAIM_INIT;
	entry->landed_ns = clock_ns();
	list_append(&in->entries, &entry->link);
	/* cppcheck-suppress memleak ; the list has it */
	return 0;
}

static void tell(struct inbox *in, const struct entry *entry, enum inbox_news news, int status,
		 const char *error)
{
	int64_t now = clock_ns();

	in->options->told(in->options->cookie,
			  &(struct inbox_item){
				  .name = entry->name,
				  .news = news,
				  .attempts = entry->attempts,
				  .status = status,
				  .error = error,
				  .retry_ns = entry->not_before_ns - now,
				  .transcode = entry->attempt.report
						       ? &entry->attempt.report->transcode
						       : NULL,
			  });
}

/* One attempt -----------------------------------------------------------------------------------
 */

/* The object's name for an input; the caller frees. NULL: no memory. */
static char *object_name(const struct inbox *in, const char *input)
{
	const char *template = in->options->transcode.name, *dot = strrchr(input, '.');
	cleanup_free char *stem =
		strndup(input, dot && dot > input ? (size_t)(dot - input) : NAME_MAX);
	const struct word_value values[] = {{"{}", input}, {"{.}", stem}, {NULL, NULL}};

	return stem ? word_expand(template ? template : "{.}", values) : NULL;
}

struct task {
	struct inbox *in;
	const struct entry *entry;
};

/*
 * What was made of an input that was written anew meanwhile is of neither content: -ESTALE. Without
 * a note (no symbolic links there, too long a name) that one instant is not covered.
 */
static int leave_note(void *cookie, const struct stat *object)
{
	const struct task *task = cookie;
	int dirfd = task->in->dirfd;

	if (!claim_holds(&task->entry->claim, dirfd, task->entry->name))
		return -ESTALE;
	(void)claim_note(dirfd, task->entry->name, object);
	return 0;
}

static int work(struct task *task, struct attempt *attempt)
{
	struct inbox *in = task->in;
	const struct entry *entry = task->entry;
	struct transcode_options o = in->options->transcode;
	cleanup_free char *name = object_name(in, entry->name), *input = NULL;

	if (!name || asprintf(&input, "%s/%s", in->path, entry->name) < 0)
		return mn_fail_errno(&attempt->report->error, ENOMEM, "%s", entry->name);
	o.name = name;
	o.input = input;
	o.bytes_in = entry->claim.st.st_size;
	o.arrival_ns = entry->landed_ns;
	o.attempts = entry->attempts;
	o.retries = 0;
	o.publishing = leave_note;
	o.publishing_cookie = task;
	return attempt_transcode(attempt, &o);
}

/* In the worker. */
static int run_task(void *cookie, struct attempt *attempt)
{
	struct task *task = cookie;

	/* Else this one would keep the others' inputs locked. */
	for (struct list *l = task->in->entries.next; l != &task->in->entries; l = l->next) {
		if (entry_of(l) != task->entry)
			claim_drop(&entry_of(l)->claim);
	}
	setrlimit(RLIMIT_NOFILE, &task->in->files);
	return work(task, attempt);
}

static int start_attempt(struct inbox *in, struct entry *entry)
{
	int err = attempt_start(&entry->attempt, run_task, &(struct task){in, entry});

	if (err)
		return err;
	entry->blocks_told = 0;
	in->counts->running++;
	tell(in, entry, INBOX_STARTS, 0, "");
	return 0;
}

/* Ends ------------------------------------------------------------------------------------------
 */

/* To where inputs of its kind go. A name that is gone, or another file's by now, stays so. */
static int put_away(struct inbox *in, const struct entry *entry, int tofd)
{
	int err = 0;

	if (claim_holds(&entry->claim, in->dirfd, entry->name)) {
		if (tofd >= 0)
			err = claim_move(in->dirfd, entry->name, tofd);
		else
			err = unlinkat(in->dirfd, entry->name, 0) < 0 ? -errno : 0;
	}
	if (err == 0 || err == -ENOENT)
		claim_note_remove(in->dirfd, entry->name);
	return err == -ENOENT ? 0 : err;
}

/* The entry is done with; a file that took its name meanwhile is a new one. */
static void finish(struct inbox *in, struct entry *entry)
{
	cleanup_free char *name = STEAL_PTR(entry->name);
	struct stat st;
	bool another = !in->options->once &&
		       fstatat(in->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		       entry->claim.fd >= 0 && !claim_holds(&entry->claim, in->dirfd, name);

	forget(entry);
	if (another)
		(void)notice(in, name);
}

static void leave(struct inbox *in, struct entry *entry, int status, const char *error)
{
	in->counts->left++;
	tell(in, entry, INBOX_LEAVES, status, error);
	finish(in, entry);
}

static void finish_done(struct inbox *in, struct entry *entry, enum inbox_news news)
{
	int err = put_away(in, entry, in->options->remove ? -1 : in->donefd);

	if (err) {
		leave(in, entry, err, "published, but not to be moved");
		return;
	}
	in->counts->done++;
	tell(in, entry, news, 0, "");
	finish(in, entry);
}

static void finish_failed(struct inbox *in, struct entry *entry, int status, const char *error)
{
	int err = put_away(in, entry, in->failedfd);

	if (err) {
		leave(in, entry, status, error);
		return;
	}
	in->counts->failed++;
	tell(in, entry, INBOX_FAILS, status, error);
	finish(in, entry);
}

static void back_off(struct inbox *in, struct entry *entry, int tries, int status,
		     const char *error)
{
	int doublings = tries - 1 < BACK_OFF_MAX ? tries - 1 : BACK_OFF_MAX;

	entry->not_before_ns = clock_ns() + (NS_PER_S << doublings);
	tell(in, entry, INBOX_RETRIES, status, error);
	attempt_drop(&entry->attempt);
	entry->landed_ns = 0; /* its next record is of the next attempt only */
}

/* Nothing that another attempt could change. */
static bool is_final(int status)
{
	return status == -EEXIST || status == -EINVAL || status == -ENAMETOOLONG ||
	       status == -EFBIG;
}

/* The command failed on this input. */
static void command_failed(struct inbox *in, struct entry *entry, int status, const char *error)
{
	entry->attempts++;
	entry->troubles = 0;
	if (is_final(status) || entry->attempts > in->options->transcode.retries)
		finish_failed(in, entry, status, error);
	else
		back_off(in, entry, entry->attempts, status, error);
}

/* The input is not to blame: no room, no space, no memory, no such command. */
static void we_failed(struct inbox *in, struct entry *entry, int status, const char *error)
{
	entry->troubles++;
	if (in->options->once && entry->troubles > in->options->transcode.retries)
		leave(in, entry, status, error);
	else
		back_off(in, entry, entry->troubles, status, error);
}

static void attempt_ended(struct inbox *in, struct entry *entry)
{
	const char *error;
	int status = attempt_status(&entry->attempt, &error);

	if (status == 0)
		finish_done(in, entry, INBOX_DONE_NOW);
	else if (stop_check())
		forget(entry);
	else if (!claim_holds(&entry->claim, in->dirfd, entry->name))
		finish(in, entry); /* it went away, or was written anew */
	else if (status > 0 || status == -ETIME || is_final(status))
		command_failed(in, entry, status, error);
	else
		we_failed(in, entry, status, error);
}

static void reap(struct inbox *in)
{
	struct list *next;

	for (struct list *l = in->entries.next; l != &in->entries; l = next) {
		struct entry *entry = entry_of(l);

		next = l->next;
		if (!attempt_reap(&entry->attempt))
			continue;
		in->counts->running--;
		attempt_ended(in, entry);
	}
}

/* Begins ----------------------------------------------------------------------------------------
 */

/* Whether an earlier run published it, and was killed before it moved the input. */
static bool was_published(struct inbox *in, const struct entry *entry)
{
	char below[OBJECT_PATH_MAX + 1];
	cleanup_free char *name = NULL, *path = NULL;
	cleanup_fd int rootfd = -1, fd = -1;
	struct stat object;
	uint64_t beat;

	if (in->options->transcode.files ||
	    space_find(in->options->transcode.to, &rootfd, below, sizeof(below)))
		return false;
	name = object_name(in, entry->name);
	if (!name || asprintf(&path, "%s%s%s", below, *below ? "/" : "", name) < 0)
		return false;
	fd = confine_open_regular(rootfd, path, O_RDONLY, &object);
	return fd >= 0 && claim_noted(in->dirfd, entry->name, &object) &&
	       live_look(rootfd, path, &beat) == 0;
}

/* What is not whole, another hook's, or one file more than may be open. */
static bool is_passing(int err)
{
	return err == -EAGAIN || err == -EBUSY || err == -EMFILE || err == -ENFILE;
}

/* Claims it anew, or for a retry. Whether it is to be worked on; else the entry may be gone. */
static bool claim(struct inbox *in, struct entry *entry)
{
	int err;

	if (entry->claim.fd >= 0 && claim_holds(&entry->claim, in->dirfd, entry->name))
		return true;
	claim_drop(&entry->claim);
	entry->attempts = entry->troubles = 0;
	err = claim_take(in->dirfd, entry->name, &entry->claim);
	if (err == 0)
		return true;
	if (err == -ENOENT || (in->options->once && (err == -EAGAIN || err == -EBUSY)))
		forget(entry);
	else if (is_passing(err) && !in->options->once)
		entry->not_before_ns = clock_ns() + AGAIN_NS;
	else
		leave(in, entry, err, "");
	return false;
}

static void start(struct inbox *in, struct entry *entry)
{
	int err;

	if (!claim(in, entry))
		return;
	if (was_published(in, entry)) {
		finish_done(in, entry, INBOX_WAS_DONE);
		return;
	}
	err = start_attempt(in, entry);
	if (err)
		we_failed(in, entry, err, "");
}

static void start_ready(struct inbox *in)
{
	struct list *next;

	for (struct list *l = in->entries.next; l != &in->entries; l = next) {
		next = l->next;
		if (in->counts->running >= (unsigned)in->options->jobs)
			return;
		if (!entry_of(l)->attempt.report && entry_of(l)->not_before_ns <= clock_ns())
			start(in, entry_of(l));
	}
}

/* The loop --------------------------------------------------------------------------------------
 */

static void tell_progress(struct inbox *in)
{
	for (struct list *l = in->entries.next; l != &in->entries; l = l->next) {
		struct entry *entry = entry_of(l);
		const struct attempt_report *report = entry->attempt.report;
		unsigned blocks = report ? report->transcode.progress.blocks : 0;

		if (blocks != entry->blocks_told)
			tell(in, entry, INBOX_PROGRESS, 0, "");
		entry->blocks_told = blocks;
	}
}

static void stop_workers(struct inbox *in)
{
	in->stopping = true;
	for (struct list *l = in->entries.next; l != &in->entries; l = l->next)
		attempt_stop(&entry_of(l)->attempt);
}

/* Until something landed or ended, or it is time to look. */
static void wait_a_while(struct inbox *in)
{
	struct pollfd p[1 + INBOX_JOBS_MAX] = {{.fd = in->arrivals.watchfd, .events = POLLIN}};
	int64_t until = clock_ns() + (in->counts->running ? LOOK_MS * NS_PER_MS : NS_PER_S);
	nfds_t count = 1;

	for (struct list *l = in->entries.next; l != &in->entries; l = l->next) {
		const struct entry *entry = entry_of(l);
		bool waits = !entry->attempt.report &&
			     in->counts->running < (unsigned)in->options->jobs && !in->stopping;

		if (entry->attempt.report && count < sizeof(p) / sizeof(*p))
			p[count++] =
				(struct pollfd){.fd = entry->attempt.workerfd, .events = POLLIN};
		if (waits && entry->not_before_ns < until)
			until = entry->not_before_ns;
	}
	poll(p, count, clock_left_ms(until));
}

static bool all_done(const struct inbox *in)
{
	if (in->counts->running)
		return false;
	return in->stopping || (in->options->once && list_empty(&in->entries));
}

static int loop(struct inbox *in)
{
	for (;;) {
		if (!in->stopping && (stop_check() || in->arrivals.gone || in->arrivals.err))
			stop_workers(in);
		reap(in);
		if (!in->stopping)
			start_ready(in);
		tell_progress(in);
		if (all_done(in))
			return in->arrivals.err ? in->arrivals.err : stop_check();
		wait_a_while(in);
		arrivals_take(&in->arrivals);
	}
}

/* Open and close --------------------------------------------------------------------------------
 */

static int open_folder(struct inbox *in, const char *name)
{
	int fd;

	if (mkdirat(in->dirfd, name, 0777) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(in->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_inbox(struct inbox *in)
{
	in->path = realpath(in->options->dir, NULL);
	if (!in->path)
		return -errno;
	in->dirfd = open(in->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (in->dirfd < 0)
		return -errno;
	in->failedfd = open_folder(in, INBOX_FAILED);
	if (in->failedfd < 0)
		return in->failedfd;
	if (!in->options->remove)
		in->donefd = open_folder(in, INBOX_DONE);
	if (!in->options->remove && in->donefd < 0)
		return in->donefd;
	claim_notes_clean(in->dirfd);
	in->arrivals.dirfd = in->dirfd;
	return in->options->once ? 0 : arrivals_watch(&in->arrivals, in->path);
}

/* An input that waits for its next attempt is open, for its lock. */
static void raise_limit(struct inbox *in)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &in->files);
	limit = in->files;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int check_space(const char *to, struct mn_error *e)
{
	char below[OBJECT_PATH_MAX + 1];
	cleanup_fd int rootfd = -1;
	int err = space_find(to, &rootfd, below, sizeof(below));

	return err ? job_refused(to, err, e) : 0;
}

static void close_inbox(struct inbox *in)
{
	struct list *l;

	while ((l = list_first(&in->entries)))
		forget(entry_of(l));
	arrivals_close(&in->arrivals);
	cleanup_close(&in->failedfd);
	cleanup_close(&in->donefd);
	cleanup_close(&in->dirfd);
	free(in->path);
}

int inbox_run(const struct inbox_options *o, struct inbox_counts *counts, struct mn_error *e)
{
	struct inbox in = {.options = o,
			   .counts = counts,
			   .dirfd = -1,
			   .donefd = -1,
			   .failedfd = -1,
			   .arrivals = {.watchfd = -1, .landed = notice}};
	int err = check_space(o->transcode.to, e);

	*counts = (struct inbox_counts){0};
	if (err)
		return err;
	list_init(&in.entries);
	in.arrivals.cookie = &in;
	signal(SIGIO, SIG_IGN); /* of leases (guest/claim.h) */
	raise_limit(&in);
	err = open_inbox(&in);
	if (!err)
		err = arrivals_scan(&in.arrivals);
	if (!err)
		err = loop(&in);
	if (err && err != -EINTR)
		mn_fail_errno(e, -err, "%s", o->dir);
	else if (!err && in.arrivals.gone)
		err = mn_fail(e, MN_FAILED, ENOENT, "%s: the folder is gone", o->dir);
	close_inbox(&in);
	return err;
}
