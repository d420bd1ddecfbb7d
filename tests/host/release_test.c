/* What is given back, when, and what never is. */
#include "host/release.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

#include "tests/scratch.h"
#include "tests/tap.h"

#define MB (1024 * 1024)

static const struct peer alice = {{1}}, bob = {{2}};
static struct release table;
static int root;

static int make(const char *name, size_t size)
{
	static char data[4 * MB];

	memset(data, 'x', sizeof(data));
	scratch_file(root, name, data, size);
	return openat(root, name, O_RDWR | O_CLOEXEC);
}

static bool there(const char *name)
{
	return faccessat(root, name, F_OK, 0) == 0;
}

static bool leave(struct reader *r, int fd, const char *name, int64_t size)
{
	const struct release_name n = {root, fd, name, size};

	return release_leave(&table, r, &n);
}

static struct reader join(int fd, bool live, int64_t from, const struct peer *peer, int want)
{
	struct reader r = {0};

	is_int(release_join(&table, &r, fd, live, from, peer), want, "joins at %lld",
	       (long long)from);
	return r;
}

static void read_to(struct reader *r, int fd, int64_t acked)
{
	release_acked(&table, r, fd, acked, true);
}

static int64_t given(int fd)
{
	struct stat st;

	fstat(fd, &st);
	return release_given(fd, &st, true);
}

/* The list's address is in the reader: it must not move. */
#define JOIN(r, fd, live, from, peer)                                                              \
	is_int(release_join(&table, &(r), fd, live, from, peer), 0, "a reader from %lld",          \
	       (long long)(from))

static void test_whole(void)
{
	int fd = make("whole", 10000);
	struct reader a = {0};

	JOIN(a, fd, false, 0, &alice);
	read_to(&a, fd, 9999);
	ok(!leave(&a, fd, "whole", 10000) && there("whole"), "a byte short: it stays");
	JOIN(a, fd, false, 0, &alice);
	read_to(&a, fd, 10000);
	ok(leave(&a, fd, "whole", 10000) && !there("whole"), "delivered whole: it goes");
	close(fd);
}

static void test_resumed(void)
{
	int fd = make("resumed", 10000);
	struct reader a = {0}, b = {0};

	JOIN(a, fd, false, 0, &alice);
	read_to(&a, fd, 6000);
	leave(&a, fd, "resumed", 10000);
	JOIN(b, fd, false, 6000, &bob);
	read_to(&b, fd, 10000);
	ok(!leave(&b, fd, "resumed", 10000), "another client's half makes no whole");
	JOIN(a, fd, false, 6000, &alice);
	read_to(&a, fd, 10000);
	ok(leave(&a, fd, "resumed", 10000) && !there("resumed"), "the same client's does");
	close(fd);
}

static void test_still_read(void)
{
	int fd = make("read", 10000);
	struct reader a = {0}, b = {0};

	JOIN(a, fd, false, 0, &alice);
	JOIN(b, fd, false, 5000, &bob);
	read_to(&a, fd, 10000);
	ok(!leave(&a, fd, "read", 10000) && there("read"), "someone still reads: it stays");
	ok(leave(&b, fd, "read", 10000) && !there("read"), "the last one to leave removes it");
	close(fd);
}

/* The one that stays has nothing new to tell, and its writer may wait for that very room. */
static void test_slow_one_leaves(void)
{
	int fd = make("slow", 4 * MB);
	struct reader a = {0}, b = {0};

	JOIN(a, fd, true, 0, &alice);
	JOIN(b, fd, true, 0, &bob);
	release_acked(&table, &a, fd, 4 * MB, false);
	is_int(given(fd), 0, "one has read nothing: all of it stays");
	leave(&b, fd, "slow", -1);
	release_acked(&table, &a, fd, 4 * MB, false);
	is_int(given(fd), 4 * MB, "it has left: what the other one has is given back");
	leave(&a, fd, "slow", -1);
	close(fd);
}

static void test_only_kept(void)
{
	int fd = make("played", 10000);
	struct reader a = {0}, b = {0};

	JOIN(a, fd, false, 0, &alice);
	read_to(&a, fd, 6000);
	leave(&a, fd, "played", 10000);
	JOIN(b, fd, false, 0, NULL);
	JOIN(a, fd, false, 6000, &alice);
	read_to(&a, fd, 10000);
	ok(!leave(&a, fd, "played", 10000) && there("played"), "who delivers nothing keeps it");
	ok(leave(&b, fd, "played", 10000) && !there("played"),
	   "and costs the client that has it in parts nothing");
	close(fd);
}

static void test_replaced(void)
{
	int fd = make("replaced", 10000), other;
	struct reader a = {0};

	JOIN(a, fd, false, 0, &alice);
	read_to(&a, fd, 10000);
	other = make("new", 10);
	renameat(root, "new", root, "replaced");
	ok(!leave(&a, fd, "replaced", 10000) && there("replaced"), "its successor is not removed");
	close(fd);
	close(other);

	fd = make("grown", 10000);
	JOIN(a, fd, false, 0, &alice);
	read_to(&a, fd, 10000);
	close(make("grown", 20000));
	ok(!leave(&a, fd, "grown", 10000) && there("grown"), "nor what was written since");
	close(fd);
}

static void test_link(void)
{
	char target[300];
	struct reader a = {0};
	int fd;

	mkdirat(root, "folder", 0700);
	mkdirat(root, "aside", 0700);
	fd = make("folder/file", 10000);
	linkat(root, "folder/file", root, "aside/file", 0);
	JOIN(a, fd, false, 0, &alice);
	read_to(&a, fd, 10000);
	renameat(root, "folder", root, "gone");
	snprintf(target, sizeof(target), "%s/aside", scratch_path);
	ok(symlinkat(target, root, "folder") == 0, "a link takes the folder's place");
	ok(!leave(&a, fd, "folder/file", 10000) && there("aside/file"), "it is not followed");
	close(fd);
}

static void test_flow(void)
{
	int fd = make("flow", 2 * MB);
	struct reader a = {0}, b = {0};

	JOIN(a, fd, true, 0, &alice);
	read_to(&a, fd, MB + 100);
	is_int(given(fd), MB, "a live object is given back, page by page, while it is read");
	ok(fgetxattr(fd, RELEASE_MARK, NULL, 0) >= 0 || errno == EOPNOTSUPP, "and marked");
	join(fd, true, 0, &bob, -ENODATA);
	JOIN(b, fd, true, MB, &bob);
	read_to(&a, fd, 2 * MB);
	is_int(given(fd), MB, "not beneath a slower reader");
	read_to(&b, fd, MB + 300000);
	is_int(given(fd), (MB + 300000) / 4096 * 4096, "which then takes its turn");
	leave(&b, fd, "flow", -1);
	ok(leave(&a, fd, "flow", 2 * MB) && !there("flow"), "the end removes it");
	close(fd);
}

static void test_after_restart(void)
{
	int fd = make("restart", 2 * MB);
	struct reader a = {0};

	JOIN(a, fd, true, 0, &alice);
	read_to(&a, fd, MB);
	leave(&a, fd, "restart", -1);
	release_fini(&table);
	release_init(&table, true);
	join(fd, true, 0, &alice, -ENODATA);
	JOIN(a, fd, false, MB, &bob);
	read_to(&a, fd, 2 * MB);
	ok(leave(&a, fd, "restart", 2 * MB), "who goes on where it was given back ends it");
	close(fd);
}

static void test_finished_is_kept(void)
{
	int fd = make("kept", 2 * MB);
	struct reader a = {0};

	JOIN(a, fd, false, 0, &alice);
	read_to(&a, fd, MB);
	is_int(given(fd), 0, "a finished object is kept whole until it is delivered");
	leave(&a, fd, "kept", 2 * MB);
	close(fd);
}

static void test_sparse(void)
{
	int fd = make("sparse", 10);
	struct stat st;

	ok(ftruncate(fd, 0) == 0 && pwrite(fd, "x", 1, MB) == 1, "the guest's own hole");
	fstat(fd, &st);
	if (fgetxattr(fd, RELEASE_MARK, NULL, 0) < 0 && errno == EOPNOTSUPP)
		skip(1, "no attributes here");
	else
		is_int(release_given(fd, &st, true), 0, "is not taken for ours");
	close(fd);
}

static void test_unread(void)
{
	int fd = make("old", 10000);
	struct reader a = {0};
	struct stat st;

	fstat(fd, &st);
	JOIN(a, fd, false, 0, &alice);
	ok(!release_remove(&table, root, "old", &st) && there("old"), "nothing that is read");
	leave(&a, fd, "old", -1);
	ok(release_remove(&table, root, "old", &st) && !there("old"), "what is not");
	close(fd);
}

static bool abandon(const char *name, int fd, int64_t now_s)
{
	return release_abandon(&table, root, name, fd, now_s, 60);
}

static void test_abandoned(void)
{
	int fd = make("left", 2 * MB), whole = make("whole", MB);
	struct reader a = {0}, b = {0};
	const uint64_t bytes = table.bytes;
	struct stat st;

	JOIN(a, fd, true, 0, &alice);
	JOIN(b, whole, true, 0, &alice);
	read_to(&a, fd, MB);
	ok(!abandon("left", fd, 100) && !abandon("left", fd, 900), "not what is being read");
	leave(&a, fd, "left", -1);
	leave(&b, whole, "whole", -1);
	ok(!abandon("left", fd, 1000) && !abandon("left", fd, 1059), "not at once");
	JOIN(a, fd, true, MB, &bob);
	read_to(&a, fd, MB + 100); /* less than a page: it is remembered */
	leave(&a, fd, "left", -1);
	ok(!abandon("left", fd, 1070) && !abandon("left", fd, 1129) && there("left"),
	   "not while somebody comes back");
	ok(!abandon("whole", whole, 1000) && !abandon("whole", whole, 9000) && there("whole"),
	   "never what can still be had whole");
	ok(abandon("left", fd, 1130) && !there("left"), "then it goes");
	is_int(fstat(fd, &st) == 0 ? st.st_blocks : -1, 0, "and its memory, whoever has it open");
	is_int(table.abandoned, 1, "it is counted");
	is_int(table.bytes - bytes, 2 * MB, "with what it held");
	close(fd);
	close(whole);
}

static struct reader continued(int fd, bool live, int64_t from)
{
	struct reader r = {0};

	release_join(&table, &r, fd, live, from, &alice);
	r.acked = r.counts; /* told after it has left */
	leave(&r, fd, "", -1);
	return r;
}

/* As one guest's objects can be many: those that are forgotten are its own. */
static void test_forgotten(void)
{
	int other = memfd_create("another file system", MFD_CLOEXEC), first = make("0", 8192);
	struct reader a = {0}, b = {0};

	(void)!sendfile(other, first, NULL, 8192);
	JOIN(a, other, true, 0, &alice);
	read_to(&a, other, 6000);
	leave(&a, other, "", -1);
	JOIN(b, first, false, 0, &alice);
	read_to(&b, first, 6000);
	leave(&b, first, "0", -1);
	for (int i = 1; i <= RELEASE_KEPT_MAX; i++) {
		char name[8];
		int fd;

		snprintf(name, sizeof(name), "%d", i);
		scratch_file(root, name, "some bytes", 10);
		fd = openat(root, name, O_RDWR | O_CLOEXEC);
		release_join(&table, &a, fd, false, 0, &alice);
		read_to(&a, fd, 5);
		leave(&a, fd, name, 10);
		close(fd);
	}
	ok(!continued(first, false, 6000).acked, "one too many: the eldest is forgotten");
	ok(continued(other, true, 6000).acked, "not what is another file system's");
	close(first);
	close(other);
}

int main(void)
{
	root = scratch_open();
	release_init(&table, true);
	test_whole();
	test_resumed();
	test_still_read();
	test_slow_one_leaves();
	test_only_kept();
	test_replaced();
	test_link();
	test_flow();
	test_after_restart();
	test_finished_is_kept();
	test_sparse();
	test_unread();
	test_abandoned();
	test_forgotten();
	release_fini(&table);
	return done_testing();
}
