/* Publishing: nothing under its name before it is whole, nobody's name taken, nothing left behind.
 */
#include "space/publish.h"

#include <errno.h>
#include <sys/stat.h>

#include "space/layout.h"
#include "space/live.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static int root;

static bool there(const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int make(const char *path, const char *text, bool replace)
{
	struct publish p = PUBLISH_INIT;
	int err = publish_begin(&p, root, "job", 1);

	if (!err && publish_write(&p, text, strlen(text)) != (ssize_t)strlen(text))
		err = -EIO;
	if (!err)
		err = publish_commit(&p, path, replace);
	publish_abort(&p);
	return err;
}

static void holds(const char *path, const char *text)
{
	char buf[64] = "";
	int fd = openat(root, path, O_RDONLY);

	ok(fd >= 0 && read(fd, buf, sizeof(buf) - 1) >= 0, "%s can be read", path);
	is_str(buf, text, "and holds what was written");
	close(fd);
}

static void whole(void)
{
	struct publish p = PUBLISH_INIT;

	is_int(publish_begin(&p, root, "job", 0), 0, "a part begins");
	ok(there(SPACE_PART "/job.0"), "under its owner's id");
	is_int(publish_write(&p, "abc", 3), 3, "takes bytes");
	is_int(publish_rewind(&p), 0, "gives them back");
	is_int(publish_write(&p, "de", 2), 2, "takes others");
	is_int(publish_write(&p, "f", 1), 1, "and more behind them");
	ok(!there("a"), "nothing is visible before");
	is_int(publish_commit(&p, "a/b/c", false), 0, "the commit, making folders");
	holds("a/b/c", "def");
	ok(!there(SPACE_PART "/job.0"), "the part is gone");
	is_int(p.fd, -1, "and closed");
	publish_abort(&p);
	ok(there("a/b/c"), "an abort behind the commit takes nothing away");
}

static void taken_names(void)
{
	is_int(make("name", "one", false), 0, "a new name");
	is_int(make("name", "two", false), -EEXIST, "is not taken twice");
	holds("name", "one");
	is_int(make("name", "two", true), 0, "but replaced on demand");
	holds("name", "two");
	ok(!there(SPACE_PART "/job.1"), "no part is left by either");
	is_int(make("name/below", "x", false), -ENOTDIR, "an object is no folder");
}

static void hostile_names(void)
{
	static const char *const bad[] = {
		"", ".", "..", "../x", "/x", "a//", "a/../../x", ".memnet/x", "a/.virtfs_metadata"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		is_int(make(bad[i], "x", true), -EINVAL, "\"%s\" is no object's name", bad[i]);
	ok(symlinkat("/tmp", root, "link") == 0, "a link out of the space");
	is_int(make("link/x", "x", true), -ELOOP, "is not followed");
}

static void live(void)
{
	struct publish p = PUBLISH_INIT, second = PUBLISH_INIT;
	uint64_t beat;

	publish_begin(&p, root, "job", 2);
	is_int(publish_show(&p, "live", false), 0, "a live object is shown");
	is_int(live_look(root, "live", &beat), 1, "behind its marker");
	publish_write(&p, "live", 4);
	holds("live", "live");
	publish_begin(&second, root, "job", 3);
	is_int(publish_show(&second, "live", true), -EEXIST, "another does not show the same");
	is_int(live_look(root, "live", &beat), 1, "nor takes its marker");
	publish_abort(&second);
	holds("live", "live");
	is_int(publish_commit(&p, "live", false), 0, "its end");
	is_int(live_look(root, "live", &beat), 0, "has no marker");
	holds("live", "live");
}

static void live_given_up(void)
{
	struct publish p = PUBLISH_INIT;
	uint64_t beat;

	publish_begin(&p, root, "job", 4);
	publish_show(&p, "dead", false);
	publish_abort(&p);
	ok(!there("dead"), "a live object given up is gone");
	is_int(live_look(root, "dead", &beat), 0, "and its marker");
	publish_begin(&p, root, "job", 5);
	is_int(publish_show(&p, "name", false), -EEXIST, "a name that is taken is not shown");
	is_int(live_look(root, "name", &beat), 0, "and gets no marker");
	publish_abort(&p);
	holds("name", "two");
}

/* A marker whose writer died behind half an object. */
static void dead_ones_marker(void)
{
	struct publish p = PUBLISH_INIT;
	uint64_t beat;

	scratch_file(root, "half", "ha", 2);
	scratch_file(root, SPACE_LIVE "/half", "\n", 1);
	publish_begin(&p, root, "job", 6);
	is_int(publish_show(&p, "half", false), -EEXIST, "half an object's name is taken");
	is_int(live_look(root, "half", &beat), 1, "and still known for half of one");
	publish_abort(&p);
	is_int(live_look(root, "half", &beat), 1, "after all");
	unlinkat(root, SPACE_LIVE "/half", 0);
}

/* What has come to the name meanwhile is not this writer's. */
static void replaced(void)
{
	struct publish p = PUBLISH_INIT, second = PUBLISH_INIT;
	uint64_t beat;

	publish_begin(&p, root, "job", 7);
	publish_show(&p, "x", false);
	ok(!publish_dropped(&p), "a live object");
	is_int(make("x", "whole", true), 0, "is replaced");
	publish_abort(&p);
	holds("x", "whole");
	is_int(live_look(root, "x", &beat), 0, "its marker goes with its writer");
	publish_begin(&p, root, "job", 8);
	publish_show(&p, "x", true);
	unlinkat(root, "x", 0);
	unlinkat(root, SPACE_LIVE "/x", 0);
	publish_begin(&second, root, "job", 9);
	is_int(publish_show(&second, "x", false), 0, "one that the host dropped, and another's");
	publish_write(&second, "second", 6);
	ok(publish_dropped(&p), "are told apart");
	is_int(publish_commit(&p, "x", false), -ENOENT, "the first cannot end");
	publish_abort(&p);
	is_int(live_look(root, "x", &beat), 1, "and leaves the second its marker");
	holds("x", "second");
	is_int(publish_commit(&second, "x", false), 0, "which ends");
	holds("x", "second");
}

/* Whoever else writes to a part, or cuts it, is noticed, also where not each write is asked about.
 */
static void meddled_with(void)
{
	static char piece[SPACE_PIECE];
	struct publish p = PUBLISH_INIT;
	static const size_t sizes[] = {sizeof(piece), 1000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		publish_begin(&p, root, "job", 10);
		for (size_t at = 0; at < sizes[i];)
			at += (size_t)publish_write(&p, piece + at, sizes[i] - at);
		is_int((intmax_t)p.size, (intmax_t)sizes[i], "%zu bytes", sizes[i]);
		(void)!write(p.fd, "x", 1);
		is_int(publish_write(&p, piece, sizes[i]) == -EIO ||
			       publish_commit(&p, "more", true) == -EIO,
		       1, "and one more");
		publish_abort(&p);
		publish_begin(&p, root, "job", 11);
		publish_write(&p, piece, sizes[i]);
		(void)!ftruncate(p.fd, 0);
		is_int(publish_write(&p, piece, 1) == -EIO ||
			       publish_commit(&p, "less", true) == -EIO,
		       1, "or none of them");
		publish_abort(&p);
	}
	ok(!there("more") && !there("less"), "nothing is published");
}

int main(void)
{
	root = scratch_open();
	is_int(space_prepare(root), 0, "a space");
	whole();
	taken_names();
	hostile_names();
	live();
	live_given_up();
	dead_ones_marker();
	replaced();
	meddled_with();
	return done_testing();
}
