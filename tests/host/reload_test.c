/* Who is held for a file is woken by whatever happens to it, once, and leaves nothing behind. */
#include "host/reload.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/notices.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static struct reload reload;
static int root, notices, woken;

static void wake(struct list *waiting)
{
	struct list *l;

	while ((l = list_first(waiting)) != NULL) {
		list_remove(l);
		woken++;
	}
}

static void take(void *cookie, const struct inotify_event *ev)
{
	(void)cookie;
	reload_event(&reload, ev->wd, ev->mask);
}

/* How many have been woken by what has happened since. */
static int events(void)
{
	woken = 0;
	notices_take(notices, take, NULL);
	return woken;
}

/* Holds one more for the file, which need not stay open. */
static void hold(const char *path, struct list *waiting)
{
	const int fd = openat(root, path, O_RDONLY | O_CLOEXEC);

	list_init(waiting);
	is_int(reload_hold(&reload, fd, waiting), 0, "held for %s", path);
	close(fd);
}

static void append(const char *path)
{
	const int fd = openat(root, path, O_WRONLY | O_APPEND | O_CLOEXEC);

	ok(write(fd, "x", 1) == 1, "%s is written to", path);
	close(fd);
}

static void test_changes(void)
{
	struct list a, b, c;
	int fd;

	scratch_file(root, "x", "one", 3);
	scratch_file(root, "y", "one", 3);
	hold("x", &a);
	hold("x", &b);
	hold("y", &c);
	is_int(events(), 0, "nothing has happened");
	append("x");
	is_int(events(), 2, "both who wait for it are woken");
	append("x");
	is_int(events(), 0, "once");
	hold("x", &a);
	renameat(root, "y", root, "x");
	is_int(events(), 2, "renamed over, and the file that was: both are woken");
	hold("x", &a);
	fd = openat(root, "x", O_RDONLY | O_CLOEXEC);
	unlinkat(root, "x", 0);
	is_int(events(), 1, "removed, though somebody has it open");
	close(fd);
	events();
	ok(list_empty(&reload.files), "no file is watched any more");
}

static void test_left(void)
{
	struct list a, b;

	scratch_file(root, "x", "one", 3);
	scratch_file(root, "y", "one", 3);
	hold("x", &a);
	list_remove(&a);
	hold("y", &b);
	ok(list_first(&reload.files) == reload.files.prev, "whom all have left is forgotten");
	append("x");
	is_int(events(), 0, "and not watched");
	hold("x", &a);
	woken = 0;
	reload_event(&reload, -1, IN_Q_OVERFLOW);
	is_int(woken, 2, "events that are lost wake all");
	ok(list_empty(&reload.files), "of all files");
	is_int(reload_hold(&reload, -1, &a) < 0, true, "no file");
	hold("x", &a);
}

int main(void)
{
	root = scratch_open();
	notices = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	reload_init(&reload, notices);
	reload.wake = wake;
	test_changes();
	test_left();
	reload_fini(&reload);
	close(notices);
	close(root);
	return done_testing();
}
