/* The host's word to the guest: its text, and its file in a folder that the guest owns. */
#include "space/pace.h"

#include <errno.h>

#include "space/layout.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static const struct pace word = {
	.serial = 7,
	.size_bytes = 1 << 30,
	.free_bytes = 123456789,
	.drain_bytes_per_s = 60000000,
	.growing_limit = 2,
	.level = -1,
	.valid_ns = 6000000000,
};

static void same(const struct pace *a, const struct pace *b, const char *what)
{
	ok(a->serial == b->serial && a->size_bytes == b->size_bytes &&
		   a->free_bytes == b->free_bytes && a->drain_bytes_per_s == b->drain_bytes_per_s &&
		   a->growing_limit == b->growing_limit && a->level == b->level &&
		   a->valid_ns == b->valid_ns,
	   "%s", what);
}

static void text(void)
{
	struct pace any = word, back;
	char buf[PACE_MAX];
	int n = pace_format(&word, buf, sizeof(buf));

	ok(n > 0, "written");
	is_int(pace_parse(buf, (size_t)n, &back), 0, "and taken");
	same(&word, &back, "the same");
	any.growing_limit = PACE_ANY;
	n = pace_format(&any, buf, sizeof(buf));
	is_int(pace_parse(buf, (size_t)n, &back), 0, "without a limit");
	same(&any, &back, "any number may grow");
	is_int(pace_format(&word, buf, 20), -ENOSPC, "a small buffer is refused");
}

static void bad_text(void)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"schema\":2,\"serial\":1,\"size_bytes\":1,\"free_bytes\":1,"
		"\"drain_bytes_per_s\":1,\"level\":0,\"valid_ns\":1}",
		"{\"schema\":1,\"serial\":1,\"size_bytes\":1,\"free_bytes\":1,"
		"\"drain_bytes_per_s\":1,\"level\":2,\"valid_ns\":1}",
		"{\"schema\":1,\"serial\":1,\"size_bytes\":-1,\"free_bytes\":1,"
		"\"drain_bytes_per_s\":1,\"level\":0,\"valid_ns\":1}",
		"{\"schema\":1,\"serial\":1,\"size_bytes\":1,\"free_bytes\":1,"
		"\"drain_bytes_per_s\":1,\"level\":0,\"valid_ns\":1,\"growing_limit\":-1}",
	};
	struct pace back;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		is_int(pace_parse(bad[i], strlen(bad[i]), &back), -EINVAL, "refused: %s", bad[i]);
}

static void file(int root)
{
	struct pace next = word, back;

	is_int(pace_read(root, &back), -ENOENT, "no word yet");
	is_int(pace_write(root, &word), 0, "written");
	ok(faccessat(root, SPACE_RESERVED "/pace.other", F_OK, 0) == 0,
	   "with the next one's page, lest the space be full by then");
	is_int(pace_read(root, &back), 0, "and read");
	same(&word, &back, "the same");
	next.serial++;
	next.growing_limit = PACE_ANY;
	is_int(pace_write(root, &next), 0, "the next one");
	is_int(pace_read(root, &back), 0, "is read");
	same(&next, &back, "whole");
	is_int(pace_write(root, &word), 0, "and a third");
	is_int(pace_read(root, &back), 0, "which goes into the first one's page");
	same(&word, &back, "whole");
	pace_remove(root);
	is_int(pace_read(root, &back), -ENOENT, "removed");
}

static void hostile(int root)
{
	struct pace back;
	struct stat st;

	unlinkat(root, SPACE_RESERVED "/pace.other", 0);
	(void)!symlinkat("/tmp/memnet-pace-elsewhere", root, SPACE_RESERVED "/pace.other");
	is_int(pace_write(root, &word), -ELOOP, "not through a link");
	ok(lstat("/tmp/memnet-pace-elsewhere", &st) < 0, "and nothing is made behind it");
	unlinkat(root, SPACE_RESERVED "/pace.other", 0);

	scratch_file(root, "object", "precious", 8);
	(void)!linkat(root, "object", root, SPACE_RESERVED "/pace.other", 0);
	is_int(pace_write(root, &word), -EINVAL, "not into an object that has two names");
	is_int(fstatat(root, "object", &st, 0) == 0 ? st.st_size : -1, 8, "which stays whole");
	unlinkat(root, SPACE_RESERVED "/pace.other", 0);

	mkfifoat(root, SPACE_RESERVED "/pace.other", 0600);
	ok(pace_write(root, &word) < 0, "a FIFO does not hold the host");
	unlinkat(root, SPACE_RESERVED "/pace.other", 0);

	mkdirat(root, SPACE_PACE, 0700);
	is_int(pace_write(root, &word), 0, "a folder in its place changes places");
	is_int(pace_read(root, &back), 0, "with the word");
	ok(pace_write(root, &word) < 0, "and stops the next one, which is its guest's loss");
	unlinkat(root, SPACE_RESERVED "/pace.other", AT_REMOVEDIR);
	unlinkat(root, SPACE_PACE, 0);
}

int main(void)
{
	int root = scratch_open();

	text();
	bad_text();
	space_prepare(root);
	file(root);
	hostile(root);
	close(root);
	return done_testing();
}
