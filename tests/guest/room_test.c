/* Waiting for room: how long, how often it looks, and how it ends; the clock is the test's. */
#include "guest/room.h"

#include <errno.h>

#include "base/clock.h"
#include "tests/scratch.h"
#include "tests/space/namespace.h"

static int64_t now;
static int root, held;

static int64_t test_clock(void)
{
	return now;
}

static void hold(void *cookie, bool hold)
{
	(void)cookie;
	held = hold;
}

static void fill(size_t size)
{
	int fd = openat(root, "fill", O_WRONLY | O_CREAT | O_APPEND, 0600);
	static const char piece[4096] = "x";

	for (size_t i = 0; i < size; i += sizeof(piece)) {
		if (write(fd, piece, sizeof(piece)) < 0)
			break;
	}
	close(fd);
}

static void waits_and_goes_on(void)
{
	struct room_view view;
	struct room r;

	room_init(&r, root, 0);
	r.hold = hold;
	fill(2 << 20);
	is_int(room_look(&r, &view), 0, "a look");
	ok(view.size == 1 << 20 && view.free == 0, "shows a full space");
	is_int(room_step(&r, 1 << 20), -EAGAIN, "a step of a wait");
	ok(!held, "a short one holds nobody");
	now += ROOM_HOLD_NS;
	is_int(room_step(&r, 1 << 20), -EAGAIN, "a later one");
	ok(held, "does");
	unlinkat(root, "fill", 0);
	is_int(room_step(&r, 4 << 20), 0, "there is room for a piece, if not for all");
	now += 5;
	room_taken(&r);
	ok(!held, "and nobody is held");
	is_int(r.blocked_ns, ROOM_HOLD_NS + 5, "the wait is counted");
	room_taken(&r);
	is_int(r.blocked_ns, ROOM_HOLD_NS + 5, "once");
}

static void small_room(void)
{
	struct room r;

	room_init(&r, root, 0);
	fill((1 << 20) - 8192);
	is_int(room_step(&r, 8192), 0, "room for the last bytes is enough");
	room_taken(&r);
	while (r.untried_ns + r.delay_ns < ROOM_TRY_NS)
		is_int(room_step(&r, 1 << 20), -EAGAIN, "less than a piece is not");
	is_int(room_step(&r, 1 << 20), 0, "but now and then it is tried");
	is_int(room_step(&r, 1 << 20), -EAGAIN, "and then not at once again");
	room_taken(&r);
	unlinkat(root, "fill", 0);
}

static void deadline(void)
{
	struct room r;

	room_init(&r, root, 1000);
	fill(2 << 20);
	is_int(room_step(&r, 4096), -EAGAIN, "before the deadline");
	now += 999;
	is_int(room_step(&r, 4096), -EAGAIN, "just before it");
	now += 1;
	is_int(room_step(&r, 4096), -ETIMEDOUT, "at it");
	room_taken(&r);
	is_int(room_step(&r, 4096), -EAGAIN, "each wait has its own");
	room_taken(&r);
}

/* The longest sleep behind a wait of so long. */
static int64_t late(int64_t waited_ns, bool alone)
{
	struct room r;

	room_init(&r, root, 0);
	(void)room_step(&r, 1 << 20);
	now += waited_ns;
	r.alone = alone;
	for (int i = 0; i < 8; i++)
		(void)room_step(&r, 1 << 20);
	room_taken(&r);
	return r.delay_ns;
}

/* How late it can be. */
static void sleeps(void)
{
	is_int(late(0, false), ROOM_DELAY_MAX_NS, "a wait is late by 8 ms at most");
	is_int(late(2 * NS_PER_S, true), ROOM_DELAY_MAX_NS, "one of two seconds too");
	is_int(late(4 * NS_PER_S, true), 4 * NS_PER_S / ROOM_LATE,
	       "a longer one by a part of itself");
	is_int(late(60 * NS_PER_S, true), ROOM_DELAY_LONG_NS, "but by 32 ms at most");
	is_int(late(60 * NS_PER_S, false), ROOM_DELAY_MAX_NS, "and by 8 ms where others wait");
}

static void is_long(void)
{
	struct room r;

	room_init(&r, root, 0);
	ok(!room_is_long(&r), "no wait is no long one");
	(void)room_step(&r, 1 << 20);
	ok(!room_is_long(&r), "nor one that has just begun");
	now += 3 * NS_PER_S;
	ok(room_is_long(&r), "one of three seconds is");
	room_taken(&r);
}

int main(void)
{
	namespace_enter();
	if (mkdir("/tmp/space", 0700) < 0 ||
	    mount("space", "/tmp/space", "tmpfs", 0, "size=1m") < 0)
		return 1;
	root = open("/tmp/space", O_RDONLY | O_DIRECTORY);
	now = 1000;
	clock_use(test_clock);
	waits_and_goes_on();
	small_room();
	deadline();
	sleeps();
	is_long();
	return done_testing();
}
