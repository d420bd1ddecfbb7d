/* Errors: what core hands up, whole or cut, never past its end. */
#include "base/error.h"

#include <errno.h>
#include <string.h>

#include "tests/tap.h"

static char long_text[2000];

static void sets_and_returns(void)
{
	struct mn_error e = MN_ERROR_INIT;

	is_int(e.status, MN_OK, "begins as no error");
	is_int(mn_fail(&e, MN_BUSY, EBUSY, "%s is held by %d", "web1", 7), -EBUSY,
	       "returns -errno");
	is_int(e.status, MN_BUSY, "keeps the status");
	is_str(e.text, "web1 is held by 7", "formats the text");
	is_int(mn_fail_errno(&e, ENOENT, "open %s", "x"), -ENOENT, "the same with errno's text");
	is_int(e.status, MN_FAILED, "whose status is a failure");
	is_str(e.text, "open x: No such file or directory", "whose cause comes last");
}

static void prefixes(void)
{
	struct mn_error e;

	mn_fail(&e, MN_ABSENT, ENOENT, "no such space");
	mn_error_prefix(&e, "%s/%s", "web1", "out");
	is_str(e.text, "web1/out: no such space", "a prefix goes in front");
	is_int(e.status, MN_ABSENT, "and keeps the status");
}

static void from_its_own_text(void)
{
	struct mn_error e;

	mn_fail(&e, MN_FAILED, EIO, "disk");
	mn_fail(&e, MN_FAILED, EIO, "<%s> and <%s>", e.text, e.text);
	is_str(e.text, "<disk> and <disk>", "a text may be made of the one before");
}

static void without_one(void)
{
	is_int(mn_fail(NULL, MN_FAILED, EIO, "x"), -EIO, "no error wanted, -errno all the same");
	is_int(mn_fail_errno(NULL, EPERM, "x"), -EPERM, "and with errno's text");
	mn_error_prefix(NULL, "x");
	ok(true, "a prefix for nothing does nothing");
}

static void too_long(void)
{
	struct {
		struct mn_error e;
		char guard[16];
	} box;

	memset(&box, 'g', sizeof(box));
	mn_fail(&box.e, MN_FAILED, EIO, "%s", long_text);
	is_int((intmax_t)strlen(box.e.text), sizeof(box.e.text) - 1, "a long text is cut");
	mn_error_prefix(&box.e, "context %s", long_text);
	ok(strncmp(box.e.text, "context xxx", 11) == 0, "a long prefix is cut at its end");
	mn_fail_errno(&box.e, EIO, "%s", long_text);
	ok(memchr(box.e.text, 0, sizeof(box.e.text)) != NULL, "a long text and errno's is cut");
	is_mem(box.guard, "gggggggggggggggg", 16, "nothing is written past the end");
}

int main(void)
{
	memset(long_text, 'x', sizeof(long_text) - 1);
	sets_and_returns();
	prefixes();
	from_its_own_text();
	without_one();
	too_long();
	return done_testing();
}
