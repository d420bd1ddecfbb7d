/* Inputs: whole, one's own, the same file from claim to move, and the note in between. */
#include "guest/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "tests/scratch.h"
#include "tests/tap.h"

static void take(int dir)
{
	struct claim a = CLAIM_INIT, b = CLAIM_INIT;
	int writer;

	scratch_file(dir, "in", "data", 4);
	is_int(claim_take(dir, "in", &a), 0, "a file that nobody writes to");
	ok(claim_holds(&a, dir, "in"), "is claimed");
	is_int(claim_take(dir, "in", &b), -EBUSY, "by one at a time");
	claim_drop(&a);
	is_int(claim_take(dir, "in", &b), 0, "and by the next when it is dropped");
	claim_drop(&b);
	claim_drop(&b);

	writer = openat(dir, "in", O_WRONLY | O_CLOEXEC);
	is_int(claim_take(dir, "in", &a), -EAGAIN, "not while it is open for writing");
	close(writer);
	is_int(claim_take(dir, "in", &a), 0, "but then");
	claim_drop(&a);
	is_int(claim_take(dir, "absent", &a), -ENOENT, "none");
	mkdirat(dir, "folder", 0700);
	symlinkat("in", dir, "link");
	mkfifoat(dir, "fifo", 0600);
	is_int(claim_take(dir, "folder", &a), -ENOENT, "a folder");
	is_int(claim_take(dir, "link", &a), -ENOENT, "a link");
	is_int(claim_take(dir, "fifo", &a), -ENOENT, "a pipe");
}

static void changes(int dir)
{
	struct claim c = CLAIM_INIT;

	scratch_file(dir, "new", "1", 1);
	claim_take(dir, "new", &c);
	scratch_file(dir, "new", "22", 2);
	ok(!claim_holds(&c, dir, "new"), "another content is another input");
	claim_drop(&c);
	claim_take(dir, "new", &c);
	renameat(dir, "new", dir, "old");
	scratch_file(dir, "new", "22", 2);
	ok(!claim_holds(&c, dir, "new"), "so is another file of its name");
	unlinkat(dir, "new", 0);
	ok(!claim_holds(&c, dir, "new"), "and none");
	claim_drop(&c);
}

static void move(int dir)
{
	int done;

	mkdirat(dir, "done", 0700);
	done = openat(dir, "done", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		scratch_file(dir, "same", "x", 1);
		is_int(claim_move(dir, "same", done), 0, "moved");
	}
	ok(faccessat(done, "same", F_OK, 0) == 0 && faccessat(done, "same.~1~", F_OK, 0) == 0 &&
		   faccessat(done, "same.~2~", F_OK, 0) == 0,
	   "never over another");
	is_int(claim_move(dir, "same", done), -ENOENT, "what is gone is gone");
	close(done);
}

static void note(int dir)
{
	char name[NAME_MAX + 1], longest[NAME_MAX + 1];
	struct stat object, other;

	scratch_file(dir, "object", "x", 1);
	scratch_file(dir, "other", "x", 1);
	fstatat(dir, "object", &object, 0);
	fstatat(dir, "other", &other, 0);
	ok(!claim_noted(dir, "in", &object), "no note");
	is_int(claim_note(dir, "in", &other), 0, "one of another object");
	ok(!claim_noted(dir, "in", &object), "is none");
	is_int(claim_note(dir, "in", &object), 0, "and is replaced");
	ok(claim_noted(dir, "in", &object), "noted");
	object.st_size++;
	ok(!claim_noted(dir, "in", &object), "another size is another object");
	ok(claim_note_of(".in.memnet", name) && strcmp(name, "in") == 0, "whose note it is");
	ok(!claim_note_of("in.memnet", name) && !claim_note_of(".memnet", name) &&
		   !claim_note_of("..memnet", name) && !claim_note_of(".in", name),
	   "other names are no notes");
	claim_note_remove(dir, "in");
	ok(!claim_noted(dir, "in", &other) && !claim_noted(dir, "in", &object), "gone");
	memset(longest, 'n', NAME_MAX);
	longest[NAME_MAX] = '\0';
	is_int(claim_note(dir, longest, &object), -ENAMETOOLONG, "no room for a note's name");
}

int main(void)
{
	int dir = scratch_open();

	signal(SIGIO, SIG_IGN);
	take(dir);
	changes(dir);
	move(dir);
	note(dir);
	return done_testing();
}
