/* Live objects: their markers' names, and what reader and writer see of each other. */
#include "space/live.h"

#include <errno.h>

#include "space/layout.h"
#include "space/name.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#define LIVE_DIR SPACE_LIVE "/"

static int root;
static bool made;

static void escapes(const char *path, const char *name)
{
	char marker[LIVE_MARKER_MAX], back[OBJECT_PATH_MAX + 1];

	is_int(live_marker_path(path, marker), 0, "\"%s\" has a marker", path);
	is_mem(marker, LIVE_DIR, strlen(LIVE_DIR), "in its folder");
	is_str(marker + strlen(LIVE_DIR), name, "named after it");
	is_int(live_object_path(name, back, sizeof(back)), 0, "which names an object");
	is_str(back, path, "the same");
}

static void names(void)
{
	escapes("film.ts", "film.ts");
	escapes("a/b/c", "a%2Fb%2Fc");
	escapes("100%", "100%25");
	escapes("a%2Fb", "a%252Fb");
	escapes("%/%", "%25%2F%25");
	escapes("a b\nc\xff", "a b\nc\xff");
}

static void bad_names(void)
{
	static const char *const bad[] = {
		"",	  "%",	    "%2",      "%2f",
		"%00",	  "a%",	    "a/b",     ".",
		"..",	  "%2Fa",   "a%2F",    "a%2F%2Fb",
		"..%2Fa", "a%2F..", ".memnet", ".memnet%2Fpart%2Fx",
		"%2E%2E", "%2G",
	};
	char path[OBJECT_PATH_MAX + 1];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		is_int(live_object_path(bad[i], path, sizeof(path)), -EINVAL, "\"%s\"", bad[i]);
	is_int(live_object_path("abc", path, 3), -EINVAL, "an object's name that does not fit");
	is_int(live_object_path("abc", path, 4), 0, "and one that just does");
}

static void long_names(void)
{
	struct {
		char marker[LIVE_MARKER_MAX];
		char guard[8];
	} box;
	char path[300];

	memset(box.guard, 'g', sizeof(box.guard));
	memset(path, 'a', sizeof(path));
	path[255] = '\0';
	is_int(live_marker_path(path, box.marker), 0, "a marker's name of 255 bytes");
	is_int((intmax_t)strlen(box.marker), LIVE_MARKER_MAX - 1, "fills the room");
	path[255] = 'a';
	path[256] = '\0';
	is_int(live_marker_path(path, box.marker), -ENAMETOOLONG, "one of 256");
	for (int n = 250; n <= 257; n++) {
		memset(path, 'a', sizeof(path));
		path[n - 3] = '/';
		path[n - 2] = '\0';
		is_int(live_marker_path(path, box.marker), n <= 255 ? 0 : -ENAMETOOLONG,
		       "an escape that ends at %d", n);
	}
	is_mem(box.guard, "gggggggg", 8, "nothing is written past the end");
	is_int(live_begin(root, path, &made), -ENAMETOOLONG, "such an object cannot be live");
	is_int(live_look(root, path, &(uint64_t){0}), 0, "and is not");
}

static void a_life(void)
{
	uint64_t first = 0, second = 0;
	struct timespec long_ago[2] = {{1, 0}, {1, 0}}, just_after[2] = {{1, 1}, {1, 1}};
	int fd;

	is_int(live_look(root, "a/b", &first), 0, "not live before");
	fd = live_begin(root, "a/b", &made);
	ok(fd >= 0, "begun");
	futimens(fd, long_ago);
	is_int(live_look(root, "a/b", &first), 1, "live");
	is_int(live_look(root, "a/b", &second), 1, "still");
	ok(first == second, "without a beat, nothing moves");
	futimens(fd, just_after);
	is_int(live_look(root, "a/b", &second), 1, "live");
	ok(first != second, "a nanosecond is a difference");
	is_int(live_beat(fd), 0, "a beat");
	first = second;
	is_int(live_look(root, "a/b", &second), 1, "live");
	ok(first != second, "and moves");
	is_int(live_look(root, "a", &first), 0, "another object is not");
	is_int(live_end(root, "a/b"), 0, "ended");
	is_int(live_look(root, "a/b", &first), 0, "not live behind");
	is_int(live_end(root, "a/b"), -ENOENT, "ended once");
	close(fd);
}

static void begun_again(void)
{
	int fd = live_begin(root, "x", &made);

	ok(fd >= 0 && made, "begun");
	is_int(live_begin(root, "x", &made), -EEXIST, "an object has one writer");
	close(fd);
	fd = live_begin(root, "x", &made);
	ok(fd >= 0 && !made, "a writer that died left a marker, its successor takes it");
	is_int(live_end(root, "x"), 0, "and ends it");
	close(fd);
}

static void planted(void)
{
	uint64_t beat;

	(void)!symlinkat("/etc/passwd", root, LIVE_DIR "link");
	mkfifoat(root, LIVE_DIR "fifo", 0600);
	mkdirat(root, LIVE_DIR "folder", 0700);
	is_int(live_look(root, "link", &beat), -ELOOP, "a link is no marker");
	is_int(live_look(root, "fifo", &beat), -EINVAL, "nor a FIFO, which would hold us");
	is_int(live_look(root, "folder", &beat), -EINVAL, "nor a folder");
	is_int(live_begin(root, "link", &made), -ELOOP, "none is made through a link");
}

static void no_space(void)
{
	int elsewhere;
	uint64_t beat;

	mkdirat(root, "elsewhere", 0700);
	elsewhere = openat(root, "elsewhere", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_int(live_begin(elsewhere, "x", &made), -ENOENT,
	       "no live object where there is no space");
	is_int(live_look(elsewhere, "x", &beat), 0, "and none seen");
	close(elsewhere);
}

/* As a guest can where its security model gives it real links. */
static void folder_replaced(void)
{
	mkdirat(root, "aside", 0700);
	mkdirat(root, "aside/live", 0700);
	scratch_file(root, "aside/live/victim", "x", 1);
	renameat(root, SPACE_RESERVED, root, "was");
	(void)!symlinkat("aside", root, SPACE_RESERVED);
	is_int(live_end(root, "victim"), -ELOOP, "no end through a link in the place of a folder");
	ok(faccessat(root, "aside/live/victim", F_OK, 0) == 0, "what it leads to stays");
	unlinkat(root, SPACE_RESERVED, 0);
	renameat(root, "was", root, SPACE_RESERVED);
}

int main(void)
{
	root = scratch_open();
	space_prepare(root);
	names();
	bad_names();
	long_names();
	a_life();
	begun_again();
	planted();
	folder_replaced();
	no_space();
	close(root);
	return done_testing();
}
