/* The profiler on a real tmpfs, with jobs that behave and a guest that does not. */
#include "control/profiler.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "space/layout.h"
#include "space/live.h"
#include "space/publish.h"
#include "space/record.h"
#include "tests/scratch.h"
#include "tests/space/namespace.h"
#include "tests/tap.h"

#define MB (1024 * 1024)

static const struct space_name name = {"vm1", "out"};
static const char path[] = "/tmp/run/vm1/out";
static struct profiler profiler;
static struct profiler_scratch scratch;
static struct profiler_hints hints;
static struct control_facts facts;
static int root = -1;

static void look(void)
{
	profiler_look(&profiler, clock_ns(), &hints, &scratch, &facts);
}

static void mount_space(void)
{
	mount("test", path, "tmpfs", 0, "size=32m,nr_inodes=40000");
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	space_prepare(root);
}

static void unmount_space(void)
{
	close(root);
	is_int(umount(path), 0, "nothing of the space is held between looks");
}

static void fill(struct publish *p, size_t size)
{
	static char piece[MB];

	while (size > 0) {
		ssize_t n = publish_write(p, piece, size < MB ? size : MB);

		if (n < 0)
			return;
		size -= (size_t)n;
	}
}

static void absent(void)
{
	look();
	ok(facts.absent, "a space that is not there is absent");
	mkdir("/tmp/run/vm1/out", 0700);
	look();
	ok(facts.absent, "so is a plain folder in its place");
	mount_space();
	look();
	ok(!facts.absent, "once mounted it is there");
	is_int((intmax_t)facts.size_bytes, 32 * MB, "with its size");
	is_int(facts.growing, 0, "nothing grows");
	is_int((intmax_t)facts.inflow_bytes, 0, "and nothing came in before the first look");
}

static void an_object(void)
{
	struct publish p = PUBLISH_INIT;

	publish_begin(&p, root, "job", 0);
	fill(&p, 3 * MB);
	look();
	is_int(facts.started, 1, "an object begun");
	is_int(facts.growing, 1, "grows");
	is_int(facts.completed, 0, "is not complete");
	is_int((intmax_t)facts.inflow_bytes, 3 * MB, "has come in");
	fill(&p, MB);
	publish_commit(&p, "a/b/object", false);
	look();
	is_int(facts.started, 0, "begun once");
	is_int(facts.completed, 1, "published is complete, also in a folder made for it");
	is_int((intmax_t)facts.completed_bytes, 4 * MB, "with its size");
	is_int((intmax_t)(facts.completed_bytes2 / MB / MB), 16, "and the square");
	is_int(facts.growing, 0, "nothing grows");
	is_int(facts.deliverable, 1, "one to deliver");
	look();
	is_int(facts.completed, 0, "complete once");
	is_int(facts.deliverable, 1, "still there");
	unlinkat(root, "a/b/object", 0);
	look();
	is_int((intmax_t)facts.freed_bytes, 4 * MB, "removed is freed");
	is_int((intmax_t)facts.inflow_bytes, 0, "and is no inflow");
	is_int(facts.deliverable, 0, "nothing to deliver");
}

/* It says that it is larger than any memory. */
static void a_sparse_object(void)
{
	struct publish p = PUBLISH_INIT;

	publish_begin(&p, root, "job", 12);
	is_int(ftruncate(p.fd, INT64_C(1) << 40), 0, "an object without bytes");
	publish_commit(&p, "sparse", false);
	look();
	is_int((intmax_t)facts.completed_bytes, 32 * MB, "counts as large as the space");
	unlinkat(root, "sparse", 0);
	look();
	is_int((intmax_t)facts.freed_bytes, 0, "and frees nothing");
}

/* One leaves while another comes: the use alone says nothing. */
static void both_ways(void)
{
	struct publish p = PUBLISH_INIT;

	publish_begin(&p, root, "job", 1);
	fill(&p, 4 * MB);
	publish_commit(&p, "one", false);
	look();
	unlinkat(root, "one", 0);
	publish_begin(&p, root, "job", 2);
	fill(&p, 4 * MB);
	publish_commit(&p, "two", false);
	look();
	is_int((intmax_t)facts.freed_bytes, 4 * MB, "what left is known");
	is_int((intmax_t)facts.inflow_bytes, 4 * MB, "and so is what came");
	unlinkat(root, "two", 0);
	look();
}

static void a_live_object(void)
{
	struct publish p = PUBLISH_INIT;

	publish_begin(&p, root, "job", 3);
	publish_show(&p, "film.ts", false);
	fill(&p, MB);
	look();
	is_int(facts.started, 1, "a live object is begun");
	is_int(facts.growing, 1, "and grows in sight");
	is_int(facts.deliverable, 0, "which is not to be whole");
	publish_commit(&p, "film.ts", false);
	look();
	is_int(facts.completed, 1, "complete when its marker is gone");
	is_int((intmax_t)facts.completed_bytes, MB, "with its size");
	is_int(facts.growing, 0, "nothing grows");
	is_int(facts.deliverable, 1, "now it is whole");
	unlinkat(root, "film.ts", 0);
	publish_begin(&p, root, "job", 4);
	publish_show(&p, "given-up.ts", false);
	publish_abort(&p);
	look();
	is_int(facts.started, 1, "another is begun");
	is_int(facts.completed, 0, "given up is not complete");
	is_int(facts.growing, 0, "and does not grow");
}

/* 9p knows no rename that spares a name: the guest links and unlinks. */
static void linked(void)
{
	int fd = openat(root, SPACE_PART "/job.5", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)!write(fd, "12345", 5);
	(void)!linkat(root, SPACE_PART "/job.5", root, "linked", 0);
	unlinkat(root, SPACE_PART "/job.5", 0);
	close(fd);
	look();
	is_int(facts.started, 1, "a linked object began once");
	is_int(facts.completed, 1, "and is complete");
	is_int((intmax_t)facts.completed_bytes, 5, "with its size");
	is_int(facts.growing, 0, "nothing grows");
	unlinkat(root, "linked", 0);
	fd = openat(root, "plain", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)!write(fd, "1234567", 7);
	look();
	is_int(facts.started, 1, "a file made in plain sight has begun");
	is_int(facts.growing, 1, "and grows");
	is_int(facts.deliverable, 0, "until");
	close(fd);
	look();
	is_int(facts.completed, 1, "it is closed");
	is_int((intmax_t)facts.completed_bytes, 7, "with its size");
	unlinkat(root, "plain", 0);
	look();
}

static void put_record(const char *id, int64_t start_ns, int64_t end_ns)
{
	struct record r = {.arrival_ns = start_ns,
			   .start_ns = start_ns,
			   .end_ns = end_ns,
			   .bytes_out = 4096,
			   .objects = 1};
	char text[RECORD_MAX], page[100], final[100];
	int n;

	snprintf(r.id, sizeof(r.id), "%s", id);
	n = record_format(&r, text, sizeof(text));
	snprintf(page, sizeof(page), SPACE_PART "/%s", id);
	snprintf(final, sizeof(final), SPACE_JOBS "/%s.json", id);
	scratch_file(root, page, text, (size_t)n);
	renameat(root, page, root, final);
}

static void records(void)
{
	int64_t now = clock_ns();

	put_record("one", 1000, 2500000000);
	look();
	is_int((intmax_t)facts.nrecords, 1, "a record is taken");
	is_int(facts.started, 0, "its page is no object");
	is_int(facts.growing, 0, "and does not grow");
	is_int(facts.record[0].end_ns - facts.record[0].start_ns, 2499999000, "its duration holds");
	ok(facts.record[0].end_ns <= clock_ns() && facts.record[0].end_ns > now - NS_PER_S,
	   "its end is when it came, on our clock");
	ok(faccessat(root, SPACE_JOBS "/one.json", F_OK, 0) < 0, "it is taken once, and gone");
	look();
	is_int((intmax_t)facts.nrecords, 0, "and not again");
	is_int((intmax_t)profiler.intake.nonsense, 0, "nothing was nonsense");
}

/* Between two looks, into folders that are made for it: the second part was never seen as such. */
static void unseen(void)
{
	struct publish p = PUBLISH_INIT;

	publish_begin(&p, root, "job", 10);
	fill(&p, MB);
	publish_commit(&p, "c/object", false);
	publish_begin(&p, root, "job", 11);
	fill(&p, MB);
	publish_commit(&p, "d/object", false);
	look();
	is_int(facts.started, 2, "two begun");
	is_int(facts.completed, 2, "and complete, where nobody looked yet");
	unlinkat(root, "c/object", 0);
	unlinkat(root, "d/object", 0);
	look();
	is_int(facts.completed, 0, "counted once");
}

static void full(void)
{
	struct publish p = PUBLISH_INIT;

	publish_begin(&p, root, "job", 6);
	fill(&p, 33 * MB);
	look();
	ok(facts.full, "full");
	is_int(facts.deliverable, 0, "of nothing that could leave");
	publish_abort(&p);
	look();
	ok(!facts.full, "and not any more");
}

static void streamed(void)
{
	struct publish p = PUBLISH_INIT;

	hints = (struct profiler_hints){.streamed = true, .sent_bytes = 100, .released_bytes = 50};
	look();
	publish_begin(&p, root, "job", 7);
	fill(&p, 8 * MB);
	fallocate(p.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * MB);
	hints.sent_bytes += 3 * MB;
	hints.released_bytes += 2 * MB;
	look();
	is_int((intmax_t)facts.inflow_bytes, 8 * MB, "with the stream's word, inflow is exact");
	is_int((intmax_t)facts.freed_bytes, 2 * MB, "and what was released");
	is_int((intmax_t)facts.delivered_bytes, 3 * MB, "and delivered");
	/* It leaves between the stream's answer and our look, and the stream tells of it later. */
	fallocate(p.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * MB, 4 * MB);
	look();
	is_int((intmax_t)facts.freed_bytes, 4 * MB, "what we see first counts");
	hints.released_bytes += 4 * MB;
	look();
	is_int((intmax_t)facts.freed_bytes, 0, "and not again when the stream tells");
	is_int((intmax_t)facts.inflow_bytes, 0, "nor as inflow");
	hints.sent_bytes = hints.released_bytes = 0;
	look();
	is_int((intmax_t)facts.inflow_bytes, 0, "a stream begun anew counts from 0");
	hints = (struct profiler_hints){0};
	publish_abort(&p);
	look();
}

static double seconds_of_looks(int n)
{
	int64_t before = clock_cpu_ns();

	while (n-- > 0)
		look();
	return (double)(clock_cpu_ns() - before) / 1e9;
}

/* So many looks take any queue of events. */
static void catch_up(void)
{
	seconds_of_looks(100);
}

static void flood(const char *prefix, int n, const char *suffix)
{
	char file[64];

	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s%d%s", prefix, i, suffix);
		close(openat(root, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
}

static void hostile_names(void)
{
	double took;

	flood("o", 10000, "");
	flood(SPACE_PART "/x.", 10000, "");
	flood(SPACE_LIVE "/m", 5000, "");
	took = seconds_of_looks(10);
	ok(took < 1, "10 looks at 25,000 names: %.1f ms of CPU each", 100 * took);
	ok(facts.deliverable > 0 && facts.deliverable <= ACTIVITY_NAMES, "counted up to a bound");
	ok(facts.growing > 0 && facts.growing <= ACTIVITY_NAMES + 2 * ACTIVITY_GROWING,
	   "as are those that grow");
}

static void hostile_records(void)
{
	size_t most = 0, sum = 0;
	double took;
	int n;

	catch_up();
	flood(SPACE_JOBS "/r", 5000, ".json");
	mkdirat(root, SPACE_JOBS "/folder", 0700);
	mkdirat(root, SPACE_JOBS "/full", 0700);
	mkdirat(root, SPACE_JOBS "/full/er", 0700);
	mkfifoat(root, SPACE_JOBS "/fifo", 0600);
	(void)!symlinkat("/etc/passwd", root, SPACE_JOBS "/link");
	close(openat(root, SPACE_JOBS "/giant", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	(void)!truncate("/tmp/run/vm1/out/.memnet/jobs/giant", INT64_C(1) << 40);
	took = seconds_of_looks(1);
	ok(took < 0.2, "one look at 5,000 records: %.1f ms", 1000 * took);
	ok(profiler.intake.nonsense <= INTAKE_MAX, "no more than so many are taken");
	for (n = 0; n < 200 && profiler.activity.records; n++) {
		look();
		sum += facts.nrecords;
		most = facts.nrecords > most ? facts.nrecords : most;
	}
	is_int((intmax_t)sum, 0, "none of it was a record");
	is_int((intmax_t)profiler.intake.nonsense, 5000 + 4,
	       "all that could be removed was counted");
	ok(n < 200, "and is gone after %d looks", n);
	ok(faccessat(root, SPACE_JOBS "/fifo", F_OK, 0) < 0, "also what is no file");
	unlinkat(root, SPACE_JOBS "/full/er", AT_REMOVEDIR);
	unlinkat(root, SPACE_JOBS "/full", AT_REMOVEDIR);
}

static void overflow(void)
{
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	int most = 16384;

	(void)!fscanf(f, "%d", &most);
	fclose(f);
	for (int i = 0; i < most + 100; i++) {
		(void)!renameat(root, i % 2 ? "p" : "o1", root, i % 2 ? "o1" : "p");
	}
	catch_up();
	ok(profiler.warned_lost, "a queue that overflows is told of");
	for (int i = 0; i < 10000; i++) {
		char file[32];

		snprintf(file, sizeof(file), "o%d", i);
		unlinkat(root, file, 0);
	}
	catch_up();
	unlinkat(root, "p", 0);
	look();
	is_int(facts.deliverable, 0, "and levels are true again, whatever was lost");
}

static void without_folders(void)
{
	struct publish p = PUBLISH_INIT;

	(void)!system("rm -r /tmp/run/vm1/out/.memnet");
	catch_up();
	is_int(facts.growing, 0, "without its reserved folders, nothing grows");
	space_prepare(root);
	look();
	publish_begin(&p, root, "job", 9);
	look();
	is_int(facts.started, 1, "made anew, they are watched again");
	publish_abort(&p);
	put_record("two", 1000, 2000);
	look();
	is_int((intmax_t)facts.nrecords, 1, "and records taken");
	(void)!symlinkat("/etc", root, "etc");
	(void)!renameat(root, SPACE_JOBS, root, ".memnet/other");
	(void)!symlinkat("/tmp/run", root, SPACE_JOBS);
	look();
	is_int((intmax_t)facts.nrecords, 0, "no link is followed");
}

static void remounted(void)
{
	unmount_space();
	mount_space();
	look();
	ok(!facts.absent, "another space in its place");
	is_int((intmax_t)facts.inflow_bytes, 0, "begins anew");
	is_int((intmax_t)facts.freed_bytes, 0, "whatever the old one held");
	unmount_space();
	look();
	ok(facts.absent, "and is missed when it is gone");
}

int main(void)
{
	namespace_enter();
	mkdir("/tmp/run", 0700);
	mkdir("/tmp/run/vm1", 0700);
	is_int(profiler_init(&profiler, "/tmp/run", &name, false), 0, "a profiler");
	absent();
	an_object();
	a_sparse_object();
	both_ways();
	a_live_object();
	linked();
	records();
	unseen();
	full();
	streamed();
	hostile_names();
	hostile_records();
	overflow();
	without_folders();
	remounted();
	profiler_close(&profiler);
	return done_testing();
}
