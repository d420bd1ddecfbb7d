/* What lands in a folder: the oldest first, then as it happens, and the folder that goes itself. */
#include "guest/arrivals.h"

#include <errno.h>

#include "tests/scratch.h"
#include "tests/tap.h"

static char told[200];

static int tell(void *cookie, const char *name)
{
	const int *err = cookie;

	strcat(strcat(told, name), " ");
	return *err;
}

static const char *take(struct arrivals *a)
{
	*told = '\0';
	arrivals_take(a);
	return told;
}

/* By the kernel's clock, which is a coarse one. */
static void write_later(int dirfd, const char *name, const char *than)
{
	struct stat a, b;

	do {
		scratch_file(dirfd, name, "x", 1);
		fstatat(dirfd, name, &a, 0);
		fstatat(dirfd, than, &b, 0);
	} while (a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec);
}

static void there(struct arrivals *a, int *err)
{
	is_int(arrivals_scan(a), 0, "an empty folder");
	scratch_file(a->dirfd, "b", "x", 1);
	write_later(a->dirfd, "a", "b");
	scratch_file(a->dirfd, ".note", "x", 1);
	mkdirat(a->dirfd, "folder", 0700);
	symlinkat("a", a->dirfd, "link");
	is_int(arrivals_scan(a), 0, "one with files");
	is_str(told, "b a ", "the oldest first, and files only");
	*err = -ENOMEM;
	*told = '\0';
	is_int(arrivals_scan(a), -ENOMEM, "what the owner says ends it");
	is_str(told, "b ", "at once");
	*err = 0;
}

static void lands(struct arrivals *a, int *err)
{
	is_str(take(a), "", "not watched, nothing lands");
	is_int(arrivals_watch(a, scratch_path), 0, "watched");
	is_str(take(a), "", "what was there before is no news");
	scratch_file(a->dirfd, "c", "x", 1);
	renameat(a->dirfd, "a", a->dirfd, "d");
	fchmodat(a->dirfd, "folder", 0500, 0);
	is_str(take(a), "c d ", "written, and moved there");
	*err = -ENOMEM;
	scratch_file(a->dirfd, "e", "x", 1);
	take(a);
	is_int(a->err, -ENOMEM, "what the owner says is kept");
	ok(!a->gone, "the folder is there");
}

static void removed(int *err)
{
	struct arrivals a = {.watchfd = -1, .landed = tell, .cookie = err};
	char folder[sizeof(scratch_path) + 8];

	snprintf(folder, sizeof(folder), "%s/inbox", scratch_path);
	mkdir(folder, 0700);
	a.dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_int(arrivals_watch(&a, folder), 0, "another folder is watched");
	rmdir(folder);
	take(&a);
	ok(a.gone, "removed, it is gone though it is open");
	arrivals_close(&a);
	close(a.dirfd);
}

int main(void)
{
	char moved[sizeof(scratch_path) + 8];
	int err = 0;
	struct arrivals a = {
		.dirfd = scratch_open(), .watchfd = -1, .landed = tell, .cookie = &err};

	there(&a, &err);
	lands(&a, &err);
	snprintf(moved, sizeof(moved), "%s.moved", scratch_path);
	rename(scratch_path, moved);
	take(&a);
	ok(a.gone, "and then it is gone");
	rename(moved, scratch_path);
	scratch_file(a.dirfd, "f", "x", 1);
	is_str(take(&a), "", "and nothing lands in it");
	arrivals_close(&a);
	close(a.dirfd);
	removed(&err);
	return done_testing();
}
