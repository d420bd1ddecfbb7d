/* The folder of a command's files: what is handed out, in which order, and who removes it. */
#include "guest/staging.h"

#include <errno.h>
#include <glob.h>
#include <sys/wait.h>

#include "tests/scratch.h"
#include "tests/tap.h"

static char name[OBJECT_PATH_MAX + 1];

static void put(const struct staging *s, const char *file, const char *text)
{
	int dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	scratch_file(dir, file, text, strlen(text));
	close(dir);
}

static void move(const struct staging *s, const char *from, const char *to)
{
	int dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	renameat(dir, from, dir, to);
	close(dir);
}

static size_t folders(void)
{
	char pattern[300];
	glob_t found;
	size_t count;

	snprintf(pattern, sizeof(pattern), "%s/memnet-hook-*", scratch_path);
	glob(pattern, 0, NULL, &found);
	count = found.gl_pathc;
	globfree(&found);
	return count;
}

static void next_is(struct staging *s, const char *want)
{
	int err = staging_next(s, name);

	is_str(err ? strerror(-err) : name, want, "next: %s", want);
}

/* What is in a file that was handed out, as it is when it is published. */
static const char *published(struct staging *s, const char *file)
{
	static char text[64];
	int fd = staging_take(s, file);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	if (fd >= 0)
		close(fd);
	return staging_drop(s) == 0 ? text : "nothing";
}

static void complete(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;

	is_int(staging_open(&s, &e), 0, "made");
	is_int(staging_next(&s, name), -EAGAIN, "nothing yet");
	put(&s, "one.ts", "1");
	put(&s, "list.new", "one.ts");
	move(&s, "list.new", "list.m3u8");
	put(&s, "new\nline", "x");
	next_is(&s, "one.ts");
	next_is(&s, "list.new"); /* its writer closed it; by the time it is opened it is no more */
	is_int(staging_take(&s, "list.new"), -ENOENT, "what was renamed is not there");
	next_is(&s, "new\nline");
	next_is(&s, "list.m3u8"); /* behind all that was complete when it was looked at */
	is_str(published(&s, name), "one.ts", "it is what it was");
	is_int(staging_next(&s, name), -EAGAIN, "no more");
	staging_close(&s);
}

/* However long its writer takes between its close and its rename. */
static void temporary(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;

	staging_open(&s, &e);
	put(&s, "1.m4s.tmp", "1");
	is_int(staging_next(&s, name), -EAGAIN, "closed, but not renamed yet");
	s.rescan = true;
	is_int(staging_next(&s, name), -EAGAIN, "nor does a scan take it");
	move(&s, "1.m4s.tmp", "1.m4s");
	next_is(&s, "1.m4s");
	is_str(published(&s, name), "1", "renamed, it is complete");
	put(&s, "2.tmp", "2");
	is_int(staging_next(&s, name), -EAGAIN, "another");
	is_int(staging_left(&s, name), 0, "when the command is done, it is a file as any other");
	is_str(name, "2.tmp", "of that name");
	staging_close(&s);
}

static void put_list(const struct staging *s, const char *text)
{
	put(s, "list.new", text);
	move(s, "list.new", "list.m3u8");
}

/* A playlist is replaced at any moment, and never comes before the segments it names. */
static void replaced(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;

	staging_open(&s, &e);
	put(&s, "1.ts", "x");
	put_list(&s, "1");
	put(&s, "2.ts", "x");
	put_list(&s, "1 2");
	next_is(&s, "1.ts");
	next_is(&s, "list.new");
	next_is(&s, "2.ts");
	next_is(&s, "list.new");
	next_is(&s, "list.m3u8");
	put(&s, "3.ts", "x");
	put_list(&s, "1 2 3");
	is_str(published(&s, name), "1 2", "handed out: no other takes its place");
	next_is(&s, "3.ts");
	next_is(&s, "list.new");
	next_is(&s, "list.m3u8");
	is_str(published(&s, name), "1 2 3", "nor is the next one lost");
	staging_close(&s);
}

/* The command ends while one is aside. */
static void left_aside(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;

	staging_open(&s, &e);
	put_list(&s, "1");
	next_is(&s, "list.new");
	next_is(&s, "list.m3u8");
	is_int(staging_left(&s, name), 0, "handed out, but not taken by the command's end");
	is_str(name, "list.m3u8", "it is there");
	put_list(&s, "1 2");
	next_is(&s, "list.new");
	next_is(&s, "list.m3u8");
	put_list(&s, "1 2 3");
	staging_left(&s, name);
	is_str(published(&s, name), "1 2 3", "the newest, where there is one");
	is_int(staging_left(&s, name), -ENOENT, "and that alone");
	staging_close(&s);
}

/* One that is written again in its place, as some muxers do. */
static void rewritten(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;
	char path[sizeof(scratch_path) + 64];
	int writer;

	staging_open(&s, &e);
	put(&s, "list.m3u8", "1");
	snprintf(path, sizeof(path), "%s/list.m3u8", s.path);
	writer = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	is_int(staging_next(&s, name), -EAGAIN, "what is written again is not complete");
	is_int(write(writer, "1 2", 3), 3, "written");
	close(writer);
	next_is(&s, "list.m3u8");
	is_str(published(&s, name), "1 2", "when it is closed");
	is_int(staging_next(&s, name), -EAGAIN, "and once");
	staging_close(&s);
}

static void below(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;
	int dir;

	staging_open(&s, &e);
	dir = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(dir, "sub", 0700);
	close(dir);
	is_int(staging_next(&s, name), -EAGAIN, "a folder is no file");
	put(&s, "sub/deep.ts", "x");
	next_is(&s, "sub/deep.ts");
	published(&s, "sub/deep.ts");
	is_int(staging_next(&s, name), -EAGAIN, "handed out once");
	staging_close(&s);
}

/* Folders in which files were complete before anybody could watch them. */
static void before(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;
	int dir, writer;

	staging_open(&s, &e);
	dir = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(dir, "a", 0700);
	mkdirat(dir, "a/b", 0700);
	put(&s, "a/b/list.m3u8", "x");
	put(&s, "a/b/init.mp4", "x");
	writer = openat(dir, "a/b/open.ts", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	next_is(&s, "a/b/init.mp4");
	published(&s, name);
	next_is(&s, "a/b/list.m3u8");
	published(&s, name);
	is_int(staging_next(&s, name), -EAGAIN, "not what is still written");
	close(writer);
	next_is(&s, "a/b/open.ts");
	put(&s, "a/b/later.ts", "x");
	next_is(&s, "a/b/later.ts");
	close(dir);
	staging_close(&s);
}

/* Files that became known together are one batch, whether events told or a scan. */
static void batches(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;

	staging_open(&s, &e);
	put(&s, "a.ts", "x");
	put(&s, "b.ts", "x");
	put(&s, "list.m3u8", "x");
	next_is(&s, "a.ts");
	ok(s.fresh, "the first of them");
	s.fresh = false;
	next_is(&s, "b.ts");
	ok(!s.fresh, "the next is no news");
	put(&s, "c.ts", "x");
	next_is(&s, "c.ts");
	ok(s.fresh, "one that came since is");
	s.fresh = false;
	next_is(&s, "list.m3u8");
	ok(!s.fresh, "but not a playlist that was moved aside before that");
	published(&s, name);
	put(&s, "list.m3u8", "x");
	next_is(&s, "list.m3u8");
	ok(s.fresh, "the next one, moved aside since, is news");
	published(&s, name);
	s.fresh = false;
	s.rescan = true;
	for (int i = 0; i < 3; i++) {
		is_int(staging_next(&s, name), 0, "scanned: %s", name);
		is_int(s.fresh, i == 0, "one batch");
		s.fresh = false;
		published(&s, name);
	}
	s.rescan = true;
	put(&s, "d.ts", "x");
	put(&s, "e.ts", "x");
	is_int(staging_next(&s, name), 0, "some may be left when it is closed");
	staging_close(&s);
}

static void left(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;

	staging_open(&s, &e);
	put(&s, "a.m3u8", "x");
	put(&s, "z.mpd", "x");
	put(&s, "b.ts", "x");
	is_int(staging_left(&s, name), 0, "what is left");
	is_str(name, "b.ts", "media before playlists");
	is_str(published(&s, "b.ts"), "x", "taken");
	is_int(staging_left(&s, name), 0, "then these");
	published(&s, "a.m3u8");
	published(&s, "z.mpd");
	is_int(staging_left(&s, name), -ENOENT, "and no more");
	staging_close(&s);
}

/* Links, pipes and folders are no objects, however they come; they stay what the command made. */
static void not_files(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;
	struct stat st;
	int dir;

	staging_open(&s, &e);
	dir = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(&s, "seg.ts", "x");
	symlinkat("seg.ts", dir, "tmp");
	move(&s, "tmp", "latest.ts");
	symlinkat("seg.ts", dir, "tmp");
	move(&s, "tmp", "latest.m3u8");
	mkfifoat(dir, "tmp", 0600);
	move(&s, "tmp", "pipe.ts");
	next_is(&s, "seg.ts");
	next_is(&s, "latest.ts");
	is_int(staging_take(&s, name), -ENOENT, "a link renamed into place is no file");
	next_is(&s, "pipe.ts");
	is_int(staging_take(&s, name), -ENOENT, "nor is a pipe");
	is_int(staging_next(&s, name), -EAGAIN, "nor a link that a playlist was to be");
	ok(fstatat(dir, "latest.ts", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		   fstatat(dir, "latest.m3u8", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		   fstatat(dir, "pipe.ts", &st, AT_SYMLINK_NOFOLLOW) == 0,
	   "they are there still");
	close(dir);
	staging_close(&s);
}

/* A name that no object can have is said, not skipped. */
static void too_long(void)
{
	struct mn_error e = MN_ERROR_INIT;
	char folder[5 * 200 + 32], *end = folder;
	struct staging s;
	int dir;

	staging_open(&s, &e);
	dir = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 5; i++) {
		end += sprintf(end, "%s%0199d", i ? "/" : "", i);
		mkdirat(dir, folder, 0700);
	}
	is_int(staging_next(&s, name), -EAGAIN, "deep folders");
	strcpy(end, "/a-name-of-thirty-bytes-or-more");
	put(&s, folder, "x");
	is_int(staging_next(&s, name), -ENAMETOOLONG,
	       "a file that has too long a path for an object");
	is_int(staging_left(&s, name), -ENAMETOOLONG, "and at the end");
	s.rescan = true;
	is_int(staging_next(&s, name), -ENAMETOOLONG, "and in a scan");
	close(dir);
	staging_close(&s);
}

static void bytes(void)
{
	struct mn_error e = MN_ERROR_INIT;
	static char text[100001];
	struct staging s;

	memset(text, 'x', sizeof(text) - 1);
	staging_open(&s, &e);
	is_int(staging_bytes(&s), 0, "nothing takes nothing");
	put(&s, "a", text);
	put(&s, "b", text);
	ok(staging_bytes(&s) >= 200000 && staging_bytes(&s) < 300000, "what two files take");
	staging_close(&s);
}

/* One whose owner and keeper were killed goes with the next; one in use stays. */
static void dead(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging alive, s;
	pid_t pid;

	staging_open(&alive, &e);
	put(&alive, "kept", "x");
	pid = fork();
	if (pid == 0) {
		staging_open(&s, &e);
		put(&s, "lost", "x");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	is_int(folders(), 2, "one of the dead lies about");
	is_int(staging_open(&s, &e), 0, "the next");
	is_int(folders(), 2, "has removed it");
	ok(access(alive.path, F_OK) == 0, "and none that is in use");
	staging_close(&s);
	staging_close(&alive);
	staging_close(&alive);
	is_int(folders(), 0, "none is left");
}

static void refused(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct staging s;
	char tmp[300];

	snprintf(tmp, sizeof(tmp), "%s/absent", scratch_path);
	setenv("TMPDIR", tmp, 1);
	is_int(staging_open(&s, &e), -ENOENT, "no place for it");
	ok(strstr(e.text, tmp), "is named: %s", e.text);
}

int main(void)
{
	close(scratch_open());
	setenv("TMPDIR", scratch_path, 1);
	complete();
	temporary();
	replaced();
	left_aside();
	rewritten();
	below();
	before();
	batches();
	left();
	not_files();
	too_long();
	bytes();
	dead();
	refused();
	return done_testing();
}
