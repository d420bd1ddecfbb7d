/* When a command is stopped for want of room, and when it goes on. */
#include "guest/hold.h"

#include "tests/tap.h"

#define MB     (1ULL << 20)
#define SIZE   (64 * MB) /* marks at 4 and 16 MB */
#define SECOND 1000000000LL

static void marks(void)
{
	is_int(hold_low_mark(SIZE), 4 * MB, "low: a sixteenth");
	is_int(hold_high_mark(SIZE), 16 * MB, "high: a quarter");
	is_int(hold_low_mark(1ULL << 40), 4 * MB, "low is bounded");
	is_int(hold_high_mark(1ULL << 40), 64 * MB, "and high");
	ok(hold_low_mark(0) == 0 && hold_high_mark(0) == 0, "a space without a size holds nobody");
}

static void hysteresis(void)
{
	struct hold h = {0};

	hold_look(&h, SIZE, 5 * MB, 1);
	ok(!hold_held(&h), "between the marks on the way down: it runs");
	hold_look(&h, SIZE, 4 * MB - 1, 2);
	ok(hold_held(&h), "below the low one: held");
	hold_look(&h, SIZE, 16 * MB - 1, 3);
	ok(hold_held(&h), "between them on the way up: still held");
	hold_look(&h, SIZE, 16 * MB, 4);
	ok(!hold_held(&h), "at the high one: it runs");
	hold_look(&h, SIZE, 5 * MB, 5);
	ok(!hold_held(&h), "and on the way down again");
}

/* Through 9p each look is a message. */
static void looks(void)
{
	struct hold h = {0};

	hold_look(&h, SIZE, 16 * MB, 7);
	is_int(h.next_ns, 7 + HOLD_FAR_NS, "with room above the high mark the next look has time");
	hold_look(&h, SIZE, 16 * MB - 1, 7);
	is_int(h.next_ns, 7 + HOLD_LOOK_NS, "below it has not");
	hold_look(&h, SIZE, MB, 8);
	is_int(h.next_ns, 8 + HOLD_LOOK_NS, "nor while held");
	hold_look(&h, SIZE, 16 * MB, 9);
	hold_block(&h, true, 10);
	hold_block(&h, false, 11);
	is_int(h.next_ns, 11, "nor behind a write that waited");
}

static void no_growth(void)
{
	struct hold h = {0};
	int64_t now = 1;

	hold_look(&h, SIZE, MB, now);
	for (int i = 1; i < 10; i++)
		hold_look(&h, SIZE, MB + (uint64_t)i, now += HOLD_PATIENCE_NS - 1);
	ok(hold_held(&h), "held as long as room grows");
	hold_look(&h, SIZE, MB, now += HOLD_PATIENCE_NS);
	ok(!hold_held(&h), "it goes on when nobody makes room");
	hold_look(&h, SIZE, 0, now += SECOND);
	ok(!hold_held(&h), "to the last byte");
	hold_look(&h, SIZE, 16 * MB, now += SECOND);
	hold_look(&h, SIZE, MB, now += SECOND);
	ok(hold_held(&h), "and is held again once the high mark has been reached");
}

static void blocked(void)
{
	struct hold h = {0};

	hold_block(&h, true, 1);
	ok(hold_held(&h), "held while a write waits");
	hold_look(&h, SIZE, 16 * MB, 2);
	ok(hold_held(&h), "whatever there seems to be");
	hold_block(&h, false, 3);
	hold_look(&h, SIZE, 8 * MB, 4);
	ok(hold_held(&h), "behind it, until the high mark");
	hold_look(&h, SIZE, 20 * MB, 5);
	ok(!hold_held(&h), "which was reached");
	h.staged = true;
	ok(hold_held(&h), "held for what is staged");
}

int main(void)
{
	marks();
	hysteresis();
	looks();
	no_growth();
	blocked();
	return done_testing();
}
