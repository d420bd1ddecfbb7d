/* The reserved folders: made once, and never outside of the space. */
#include "space/layout.h"

#include <errno.h>

#include "tests/scratch.h"
#include "tests/tap.h"

static int top;

/* A fresh folder to be a space. */
static int make_root(const char *name)
{
	mkdirat(top, name, 0700);
	return openat(top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool there(int dirfd, const char *path)
{
	return faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void made_once(void)
{
	int root = make_root("space");

	is_int(space_probe(root), -ENOENT, "an empty folder is no space");
	is_int(space_prepare(root), 0, "the folders are made");
	ok(there(root, SPACE_PART) && there(root, SPACE_LIVE) && there(root, SPACE_JOBS),
	   "all three");
	is_int(space_probe(root), 0, "and make a space of it");
	scratch_file(root, SPACE_PART "/x", "x", 1);
	is_int(space_prepare(root), 0, "made again");
	ok(there(root, SPACE_PART "/x"), "they keep what is in them");
	unlinkat(root, SPACE_LIVE, AT_REMOVEDIR);
	is_int(space_prepare(root), 0, "one that went missing");
	ok(there(root, SPACE_LIVE), "is made anew");
	close(root);
}

static void planted(const char *name, const char *target, const char *at, int want)
{
	int root = make_root(name), outside = make_root("outside");

	if (at[0])
		mkdirat(root, SPACE_RESERVED, 0700);
	(void)!symlinkat(target, root, at[0] ? at : SPACE_RESERVED);
	is_int(space_prepare(root), want, "%s: not prepared through it", name);
	ok(!there(outside, "part") && !there(outside, "jobs"), "%s: nothing made outside", name);
	if (strcmp(at, SPACE_JOBS) != 0)
		ok(space_probe(root) < 0, "%s: and is no space", name);
	close(outside);
	close(root);
}

static void a_file_in_the_way(void)
{
	int root = make_root("file");

	scratch_file(root, SPACE_RESERVED, "", 0);
	is_int(space_prepare(root), -ENOTDIR, "a file is no folder");
	is_int(space_probe(root), -ENOTDIR, "and makes no space");
	close(root);
}

/* Looks for the space that `dir`, beneath the scratch folder, lies in; what lies below its root. */
static const char *found(const char *dir)
{
	static char below[16];
	char path[400];
	int root = -1, err;

	snprintf(path, sizeof(path), "%s/%s", scratch_path, dir);
	err = space_find(path, &root, below, sizeof(below));
	if (err)
		return err == -ENOENT ? "(none)" : err == -ENAMETOOLONG ? "(long)" : "(error)";
	ok(space_probe(root) == 0, "%s: a space's root", dir);
	close(root);
	return below;
}

static void finding(void)
{
	int root = make_root("find");

	space_prepare(root);
	mkdirat(root, "a", 0700);
	mkdirat(root, "a/b", 0700);
	mkdirat(root, "a/a-name-too-long", 0700);
	(void)!symlinkat("find/a", top, "to-a");
	is_str(found("find"), "", "the root itself");
	is_str(found("find/"), "", "with a slash");
	is_str(found("find/a/b"), "a/b", "a folder in it");
	is_str(found("find/a/../a/./b"), "a/b", "by a roundabout way");
	is_str(found("to-a"), "a", "through the caller's own link");
	is_str(found("outside"), "(none)", "a folder in no space");
	is_str(found("find/none"), "(none)", "no folder");
	is_str(found("find/a/a-name-too-long"), "(long)", "one with no room for its name");
	close(root);
}

int main(void)
{
	top = scratch_open();
	made_once();
	planted("relative", "../outside", "", -ELOOP);
	planted("absolute", scratch_path, "", -ELOOP);
	planted("part", "../../outside", SPACE_PART, -ELOOP);
	planted("jobs", "../../outside", SPACE_JOBS, -ELOOP);
	a_file_in_the_way();
	finding();
	close(top);
	return done_testing();
}
