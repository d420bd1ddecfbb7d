/* Jobs: the record they leave, what they clean up, and clocks that jump. */
#include "guest/job.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/lock.h"
#include "guest/stop.h"
#include "space/layout.h"
#include "space/live.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static int64_t now = 1000 * NS_PER_S;
static int root;

static int64_t step; /* the clock's, each time it is looked at */

static int64_t test_clock(void)
{
	return now += step;
}

static bool there(const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int entries(const char *folder)
{
	int fd = openat(root, folder, O_RDONLY | O_DIRECTORY), n = 0;
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static int begin(struct job *j)
{
	return job_begin(j, scratch_path, RECORD_COMPRESS, 0, NULL);
}

/* The record that job `id` left; it is removed. */
static int read_record(const char *id, struct record *r)
{
	char path[100], text[RECORD_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), SPACE_JOBS "/%s.json", id);
	fd = openat(root, path, O_RDONLY);
	n = read(fd, text, sizeof(text));
	close(fd);
	unlinkat(root, path, 0);
	return n < 0 ? -EIO : record_parse(text, (size_t)n, r);
}

static void leaves_a_record(void)
{
	char id[RECORD_ID_MAX + 1];
	struct record r;
	struct job j;

	is_int(begin(&j), 0, "a job begins");
	is_int(entries(SPACE_PART), 1, "its page is there");
	strcpy(id, j.record.id);
	j.record.bytes_in = 10;
	j.record.bytes_out = 5;
	j.record.objects = 1;
	now += 7 * NS_PER_S;
	is_int(job_end(&j, RECORD_DONE), 0, "and ends");
	is_int(read_record(id, &r), 0, "its record is one");
	ok(r.bytes_in == 10 && r.bytes_out == 5 && r.objects == 1 && r.status == RECORD_DONE,
	   "with what was put into it");
	is_int(r.end_ns - r.start_ns, 7 * NS_PER_S, "and how long it took");
	is_int(entries(SPACE_PART), 0, "nothing else is left");
	is_int(job_end(&j, RECORD_DONE), 0, "a second end does nothing");
	is_int(entries(SPACE_JOBS), 0, "nor another record");
}

/* A guest that is stopped for hours, or whose clock was set back by a migration. */
static void clock_jumps(void)
{
	static const int64_t jumps[] = {3600 * NS_PER_S, 0, -5 * NS_PER_S, -900 * NS_PER_S};

	for (size_t i = 0; i < sizeof(jumps) / sizeof(*jumps); i++) {
		char id[RECORD_ID_MAX + 1];
		struct record r;
		struct job j;

		begin(&j);
		strcpy(id, j.record.id);
		j.room.since_ns = now;
		now += jumps[i];
		job_end(&j, RECORD_DONE);
		is_int(read_record(id, &r), 0, "a jump of %lld s: the record is one",
		       (long long)(jumps[i] / NS_PER_S));
		is_int(r.end_ns - r.start_ns, jumps[i] > 0 ? jumps[i] : 0,
		       "and no time in it is negative");
		is_int(r.blocked_ns, r.end_ns - r.start_ns, "nor longer than the job");
	}
}

static void cleans_up(void)
{
	struct job lives, j;
	char part[100];

	begin(&lives);
	snprintf(part, sizeof(part), SPACE_PART "/%s.0", lives.record.id);
	scratch_file(root, part, "x", 1);
	scratch_file(root, SPACE_PART "/0123456789abcdef", "page", 4);
	scratch_file(root, SPACE_PART "/0123456789abcdef.7", "part", 4);
	scratch_file(root, "dead", "half", 4);
	scratch_file(root, SPACE_LIVE "/dead", "\n", 1);
	scratch_file(root, "name", "an object", 9);
	begin(&j);
	ok(!there(SPACE_PART "/0123456789abcdef") && !there(SPACE_PART "/0123456789abcdef.7"),
	   "what a dead job left is removed");
	ok(!there("dead") && !there(SPACE_LIVE "/dead"), "and its live object");
	ok(there(part), "not what is another's that lives");
	ok(there("name"), "and no object");
	job_end(&j, RECORD_DONE);
	unlinkat(root, part, 0);
	job_end(&lives, RECORD_DONE);
}

static void no_folders(void)
{
	char id[RECORD_ID_MAX + 1];
	struct record r;
	struct job j;

	unlinkat(root, SPACE_LIVE, AT_REMOVEDIR);
	is_int(begin(&j), 0, "a folder is missing: the job makes it");
	ok(there(SPACE_LIVE), "it is there");
	strcpy(id, j.record.id);
	unlinkat(root, SPACE_JOBS, AT_REMOVEDIR);
	is_int(job_end(&j, RECORD_DONE), 0, "the folder of records is missing: the job makes it");
	is_int(read_record(id, &r), 0, "the record is in it");
	begin(&j);
	strcpy(id, j.record.id);
	renameat(root, SPACE_RESERVED, root, "gone");
	is_int(job_end(&j, RECORD_DONE), 0, "the host emptied the space");
	is_int(read_record(id, &r), 0, "the record is there");
}

/* What the host took away is there again before another job looks for what dead ones left. */
static void renewed(void)
{
	struct job j, other;
	char page[100];

	begin(&j);
	snprintf(page, sizeof(page), SPACE_PART "/%s", j.record.id);
	is_int(job_renew(&j), 0, "a job of which nothing was taken away");
	renameat(root, SPACE_RESERVED, root, "gone2");
	is_int(job_renew(&j), 0, "and one of which all was");
	begin(&other);
	ok(there(page), "is known to live");
	is_int(turn_take(&j.turn), true, "it can have a turn");
	is_int(turn_take(&other.turn), false, "which others see");
	is_int(job_end(&other, RECORD_DONE), 0, "the other ends");
	is_int(job_end(&j, RECORD_DONE), 0, "and it");
	is_int(entries(SPACE_PART), 0, "nothing is left");
}

/* What cannot be looked at is another user's, and may live. */
static void others(void)
{
	struct job lives, j;
	char part[100], page[100];
	int status = -1;
	pid_t child;

	begin(&lives);
	snprintf(page, sizeof(page), SPACE_PART "/%s", lives.record.id);
	snprintf(part, sizeof(part), SPACE_PART "/%s.0", lives.record.id);
	scratch_file(root, part, "x", 1);
	scratch_file(root, "live", "half", 4);
	scratch_file(root, SPACE_LIVE "/live", "\n", 1);
	fchmodat(root, page, 0, 0);
	fchmodat(root, SPACE_LIVE "/live", 0, 0);
	child = fork();
	if (child == 0) {
		if (geteuid() == 0 && system("chown -R 65534 \"$MEMNET_TEST_SPACE\"") == 0 &&
		    fchownat(root, page, 0, 0, 0) == 0 &&
		    fchownat(root, SPACE_LIVE "/live", 0, 0, 0) == 0 && setuid(65534) < 0)
			_exit(1);
		_exit(begin(&j) || job_end(&j, RECORD_DONE));
	}
	waitpid(child, &status, 0);
	is_int(status, 0, "another user's job");
	ok(there(page) && there(part), "removes no page and part that it may not look at");
	ok(there("live") && there(SPACE_LIVE "/live"), "and no such live object");
	unlinkat(root, part, 0);
	unlinkat(root, "live", 0);
	unlinkat(root, SPACE_LIVE "/live", 0);
	job_end(&lives, RECORD_DONE);
}

/* A job that is stopped while it looks for what dead ones left. */
static void locked_out(void)
{
	int fd = openat(root, SPACE_LOCK, O_RDWR | O_CLOEXEC);
	struct mn_error e = MN_ERROR_INIT;
	struct job j;

	lock_byte(fd, LOCK_HOUSE);
	step = NS_PER_S;
	is_int(job_begin(&j, scratch_path, RECORD_COMPRESS, NS_PER_S, &e), -EBUSY,
	       "the lock is not had within max_wait");
	is_int(e.status, MN_TIMEOUT, "which is a timeout");
	is_int(j.rootfd, -1, "and leaves nothing open");
	raise(SIGTERM);
	is_int(job_begin(&j, scratch_path, RECORD_COMPRESS, 0, &e), -EINTR,
	       "nor behind a request to stop");
	step = 0;
	close(fd);
}

static void no_space(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct job j;

	is_int(job_begin(&j, "/", RECORD_COMPRESS, 0, &e), -ENOENT, "what is no space");
	is_int(e.status, MN_ABSENT, "is absent");
	is_int(job_end(&j, RECORD_DONE), 0, "a job that never began can be ended");
}

int main(void)
{
	root = scratch_open();
	space_prepare(root);
	setenv("MEMNET_TEST_SPACE", scratch_path, 1);
	clock_use(test_clock);
	leaves_a_record();
	clock_jumps();
	cleans_up();
	no_folders();
	renewed();
	others();
	no_space();
	stop_install();
	locked_out();
	return done_testing();
}
