/* The store: what is cached, what is noticed, and who is told of a live object's changes. */
#include "host/object.h"

#include <errno.h>

#include "base/clock.h"
#include "space/live.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static struct store store;
static struct sites sites;
static int root, told, followed;

static void follow(struct object *o)
{
	(void)o;
	followed++;
}

static void unfollow(struct object *o)
{
	(void)o;
	followed--;
}

static void changed(struct object *o)
{
	(void)o;
	told++;
}

static struct object *get(const char *path, int want)
{
	struct object *o = NULL;

	store_round(&store);
	is_int(store_get(&store, sites.site, path, clock_ns(), &o), want, "get %s", path);
	return o;
}

static void put(struct object *o)
{
	object_put(o, clock_ns());
}

static void test_cache(void)
{
	struct object *first, *second;
	ino_t ino;

	scratch_file(root, "x", "one", 3);
	while (!(first = get("x", 0))->settled) {
		put(first);
		usleep(5000);
	}
	put(first);
	second = get("x", 0);
	ok(second == first, "an object that has settled stays open");
	ino = second->st.st_ino;
	put(second);
	scratch_file(root, "new", "two", 3);
	renameat(root, "new", root, "x");
	is_int(store_get(&store, sites.site, "x", clock_ns(), &second), 0, "in the same round");
	ok(second->st.st_ino == ino, "the file is not asked after again");
	put(second);
	second = get("x", 0);
	ok(second->st.st_ino != ino, "a new one is seen");
	put(second);
	unlinkat(root, "x", 0);
	get("x", -ENOENT);
}

/* A folder is renamed or replaced without a trace in the files beneath. */
static void test_cache_in_folder(void)
{
	struct object *first, *second;

	mkdirat(root, "d", 0700);
	mkdirat(root, "other", 0700);
	scratch_file(root, "d/x", "one", 3);
	scratch_file(root, "other/x", "two", 3);
	while (!(first = get("d/x", 0))->settled) {
		put(first);
		usleep(5000);
	}
	put(first);
	second = get("d/x", 0);
	ok(second == first, "an object in a folder stays open, too");
	put(second);
	renameat(root, "d", root, "gone");
	get("d/x", -ENOENT);
	renameat(root, "gone", root, "d");
	first = get("d/x", 0);
	put(first);
	renameat(root, "d", root, "gone");
	renameat(root, "other", root, "d");
	second = get("d/x", 0);
	ok(second != first, "the folder is another one: so is the object");
	put(second);
	renameat(root, "d", root, "other");
	symlinkat("gone", root, "d");
	get("d/x", -ELOOP);
	unlinkat(root, "d", 0);
}

static void test_refused(void)
{
	get("", -ENOENT);
	get("../x", -ENOENT);
	get(".memnet/live/x", -ENOENT);
	symlinkat("/etc/passwd", root, "link");
	get("link", -ELOOP);
	mkdirat(root, "folder", 0700);
	get("folder", -EINVAL);
	mkfifoat(root, "fifo", 0600);
	get("fifo", -EINVAL);
}

/*
 * Whoever looks at a live object, its readers are told: they wait for that alone once it is no
 * longer among the living.
 */
static void test_live(void)
{
	struct object *early, *late;
	bool made;
	int marker;

	mkdirat(root, ".memnet", 0700);
	mkdirat(root, ".memnet/live", 0700);
	marker = live_begin(root, "l", &made);
	ok(marker >= 0, "a marker");
	scratch_file(root, "l", "abc", 3);
	early = get("l", 0);
	ok(early->live && followed == 1, "is live, and followed");
	scratch_file(root, "l", "abcdef", 6);
	told = 0;
	late = get("l", 0);
	ok(late == early && told == 1 && late->st.st_size == 6, "another's look tells of growth");
	live_end(root, "l");
	object_look(early, clock_ns());
	ok(told == 2 && !early->live && !early->broken && followed == 0, "and of the end");
	put(early);
	put(late);
	live_begin(root, "l", &made);
	early = get("l", 0);
	ok(early->live, "live once more");
	unlinkat(root, "l", 0);
	object_look(early, clock_ns());
	ok(early->broken && !early->live, "unlinked while it lives: broken");
	put(early);
	close(marker);
}

/* A space destroyed while it is served, and made anew, has no marker: that is not the end. */
static void test_live_elsewhere(void)
{
	char gone[sizeof(scratch_path) + 5];
	struct object *o;
	bool made;
	int marker = live_begin(root, "m", &made);

	scratch_file(root, "m", "abc", 3);
	o = get("m", 0);
	ok(o->live, "live");
	snprintf(gone, sizeof(gone), "%s.gone", scratch_path);
	rename(scratch_path, gone);
	mkdir(scratch_path, 0700);
	object_look(o, clock_ns() + SITE_TRUST_NS);
	ok(o->broken && !o->live, "another folder is in the place of its own: broken");
	put(o);
	close(marker);
	rmdir(scratch_path);
	rename(gone, scratch_path);
}

int main(void)
{
	root = scratch_open();
	ok(sites_add(&sites, scratch_path, "/run/memnet", NULL) == 0, "a folder is served");
	store_init(&store, true, false);
	store.follow = follow;
	store.unfollow = unfollow;
	store.changed = changed;
	test_cache();
	test_cache_in_folder();
	test_refused();
	test_live();
	test_live_elsewhere();
	store_fini(&store);
	sites_fini(&sites);
	return done_testing();
}
