/* What jobs do, by a guest that plays with its folders: counts stay counts, watches few. */
#include "control/activity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "space/layout.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static int root;
static struct activity activity;
static struct folder_reader reader;

static struct activity_counts look(void)
{
	struct activity_counts counts;

	activity_pending(&activity);
	activity_read(&activity, root, &reader, &counts);
	return counts;
}

static void make_folder(const char *path)
{
	if (mkdirat(root, path, 0755) < 0 && errno != EEXIST)
		abort();
}

static void move(const char *from, const char *to)
{
	if (renameat(root, from, root, to) < 0)
		abort();
}

static void begin(void)
{
	make_folder(SPACE_RESERVED);
	make_folder(SPACE_PART);
	make_folder(SPACE_LIVE);
	make_folder(SPACE_JOBS);
	if (activity_open(&activity, root))
		abort();
	look();
}

static int truncateat(const char *path, off_t size)
{
	int fd = openat(root, path, O_WRONLY | O_CLOEXEC), err = fd < 0 || ftruncate(fd, size);

	close(fd);
	return err;
}

static unsigned int watches(void)
{
	char path[64], line[256];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", activity.fd);
	f = fopen(path, "re");
	if (!f)
		abort();
	while (fgets(line, sizeof(line), f))
		n += strncmp(line, "inotify wd:", 11) == 0;
	fclose(f);
	return n;
}

static void publishes(void)
{
	struct activity_counts c;

	begin();
	scratch_file(root, SPACE_PART "/job.1", "12345", 5);
	c = look();
	ok(c.started == 1 && c.growing == 1 && !c.deliverable, "begun");
	move(SPACE_PART "/job.1", "object");
	c = look();
	ok(c.completed == 1 && c.completed_bytes == 5 && c.deliverable == 1, "renamed: complete");
	/* As 9p does it: a link in sight, and then the part goes. */
	scratch_file(root, SPACE_PART "/job.2", "1234567", 7);
	if (linkat(root, SPACE_PART "/job.2", root, "other", 0) < 0)
		abort();
	unlinkat(root, SPACE_PART "/job.2", 0);
	c = look();
	is_int(c.started, 1, "linked: begun once");
	ok(c.completed == 1 && c.completed_bytes == 7, "and complete once");
	activity_close(&activity);
}

/* A link that is closed is a file made in sight; with it no byte comes or goes. */
static void linked_again(void)
{
	static char piece[4096];
	uint64_t removed = 0;
	struct stat st;

	begin();
	scratch_file(root, SPACE_PART "/job.8", piece, sizeof(piece));
	look();
	move(SPACE_PART "/job.8", "film");
	look();
	fstatat(root, "film", &st, 0);
	for (int i = 0; i < 5; i++) {
		if (linkat(root, "film", root, "again", 0) || truncateat("again", sizeof(piece)))
			abort();
		is_int(look().completed, 1, "a link is an object like others");
		unlinkat(root, "again", 0);
		removed += look().removed_bytes;
	}
	unlinkat(root, "film", 0);
	removed += look().removed_bytes;
	is_int((intmax_t)removed, (intmax_t)st.st_blocks * 512,
	       "a file that had six names is removed once");
	activity_close(&activity);
}

/* A file tells any size. */
static void sparse(void)
{
	struct activity_counts c;

	begin();
	activity.space_bytes = 1000;
	for (int i = 0; i < 2; i++) {
		scratch_file(root, SPACE_PART "/job.7", "1", 1);
		if (truncateat(SPACE_PART "/job.7", INT64_C(1) << 40))
			abort();
		look();
		move(SPACE_PART "/job.7", i ? "giant" : "titan");
		if (i) /* gone when it is looked at: as large as those before */
			unlinkat(root, "giant", 0);
		c = look();
		ok(c.completed == 1 && c.completed_bytes == 1000 && c.completed_bytes2 == 1e6,
		   "%s object counts as large as its space", i ? "the next" : "a sparse");
	}
	activity_close(&activity);
}

/* What it replaces is gone already: an object that is removed was there once. */
static void replaced(void)
{
	static char piece[4096];
	struct stat st;

	begin();
	for (int i = 0; i < 5; i++) {
		scratch_file(root, SPACE_PART "/job.6", piece, sizeof(piece));
		look();
		move(SPACE_PART "/job.6", "day");
		is_int(look().completed, 1, "complete");
	}
	fstatat(root, "day", &st, 0);
	unlinkat(root, "day", 0);
	is_int((intmax_t)look().removed_bytes, (intmax_t)st.st_blocks * 512,
	       "one that was replaced four times is removed once");
	activity_close(&activity);
}

/* The link is of one look, the part's end of another: what was counted before is not taken back. */
static void link_between_looks(void)
{
	struct activity_counts c;

	begin();
	scratch_file(root, SPACE_PART "/job.3", "123", 3);
	look();
	if (linkat(root, SPACE_PART "/job.3", root, "third", 0) < 0)
		abort();
	look();
	unlinkat(root, SPACE_PART "/job.3", 0);
	c = look();
	is_int(c.started, 0, "nothing has begun since, and not less than nothing");
	ok(c.completed == 1 && c.completed_bytes == 3, "it is complete");
	activity_close(&activity);
}

/* Folders that come into sight and go where nobody looks. */
static void folders_come_and_go(void)
{
	char name[64], away[64];

	begin();
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "folder-%d", i);
		snprintf(away, sizeof(away), SPACE_RESERVED "/%d", i);
		make_folder(name);
		look();
		move(name, away);
		/* And those that memnet watches are taken away, for new ones. */
		snprintf(away, sizeof(away), SPACE_RESERVED "/part-%d", i);
		move(SPACE_PART, away);
		make_folder(SPACE_PART);
		look();
	}
	ok(watches() <= ACTIVITY_FOLDERS + 3, "%u watches after 200 folders", watches());
	scratch_file(root, SPACE_PART "/job.4", "1", 1);
	is_int(look().started, 1, "and those that are there are watched");
	activity_close(&activity);
}

/* A watched folder that becomes another watched one has its watch still. */
static void folders_change_places(void)
{
	begin();
	make_folder("a");
	look();
	move(SPACE_PART, "b");
	move("a", SPACE_PART);
	look();
	look();
	scratch_file(root, SPACE_PART "/job.5", "1", 1);
	is_int(look().started, 1, "a folder that became the one of parts");
	scratch_file(root, "b/object", "1", 1);
	ok(look().started == 1, "one of parts that became any");
	activity_close(&activity);
}

int main(void)
{
	setenv("TMPDIR", "/dev/shm", 1); /* a tmpfs, as spaces are: its inodes do not come again */
	root = scratch_open();
	publishes();
	link_between_looks();
	replaced();
	linked_again();
	sparse();
	folders_come_and_go();
	folders_change_places();
	close(root);
	return done_testing();
}
