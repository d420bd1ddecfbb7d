/* What the verbs of memnet share have in common. */
#include "cmd/share.h"

#include "base/clock.h"
#include "space/mountinfo.h"
#include "tests/scratch.h"
#include "tests/tap.h"

static int64_t now = NS_PER_S;

static int64_t slow_clock(void)
{
	return now += 3 * NS_PER_S;
}

/* The clock goes on while the lock is waited for. */
static void test_deadline(void)
{
	struct invocation inv = {.common.runtime_dir = scratch_path};
	struct share s = {.inv = &inv, .lock = -1, .wait_ns = 10 * NS_PER_S, .name.vm = "web1"};

	clock_use(slow_clock);
	s.deadline_ns = now + 2 * NS_PER_S;
	is_int(share_lock(&s), 0, "locked");
	is_int(s.deadline_ns, now + s.wait_ns, "and QEMU has all of its time");
	is_int(share_end(&s, 0), MN_OK, "unlocked");
	clock_use(NULL);
}

static void test_same_folder(void)
{
	ok(share_same_folder("/mnt/pool", "//mnt//pool/"), "slashes say nothing");
	ok(share_same_folder("/", "//"), "not even alone");
	ok(!share_same_folder("/mnt/pool", "/mnt/poo"), "shorter");
	ok(!share_same_folder("/mnt/pool", "/mnt/pool/in"), "below");
	ok(!share_same_folder("/mntpool", "/mnt/pool"), "between names they do");
}

/* What the guest's agent says is the guest's. */
static void test_unescape(void)
{
	char blank[] = "/mnt/a\\040b", cut[] = "/mnt/\\1", no[] = "/mnt/\\08";

	mountinfo_unescape(blank);
	is_str(blank, "/mnt/a b", "a path with a blank");
	mountinfo_unescape(cut);
	is_str(cut, "/mnt/\\1", "an escape cut short");
	mountinfo_unescape(no);
	is_str(no, "/mnt/\\08", "one that is none");
}

int main(void)
{
	close(scratch_open());
	test_deadline();
	test_same_folder();
	test_unescape();
	return done_testing();
}
