#include "guest/hold.h"

static uint64_t bounded(uint64_t bytes, uint64_t most)
{
	return bytes < most ? bytes : most;
}

uint64_t hold_low_mark(uint64_t size)
{
	return bounded(size / 16, HOLD_LOW_MAX);
}

uint64_t hold_high_mark(uint64_t size)
{
	return bounded(size / 4, HOLD_HIGH_MAX);
}

static void become_low(struct hold *h, uint64_t free, int64_t now_ns)
{
	h->low = true;
	h->best = free;
	h->grown_ns = now_ns;
}

static void wait_for_growth(struct hold *h, uint64_t free, int64_t now_ns)
{
	if (free > h->best) {
		h->best = free;
		h->grown_ns = now_ns;
	} else if (now_ns - h->grown_ns >= HOLD_PATIENCE_NS) {
		h->low = false;
		h->spent = true;
	}
}

void hold_look(struct hold *h, uint64_t size, uint64_t free, int64_t now_ns)
{
	const bool far = free >= hold_high_mark(size);

	h->next_ns = now_ns + (far ? HOLD_FAR_NS : HOLD_LOOK_NS);
	if (far)
		h->low = h->spent = false;
	else if (h->low)
		wait_for_growth(h, free, now_ns);
	else if (!h->spent && free < hold_low_mark(size))
		become_low(h, free, now_ns);
}

void hold_block(struct hold *h, bool blocked, int64_t now_ns)
{
	if (h->blocked && !blocked) {
		become_low(h, 0, now_ns);
		h->next_ns = now_ns;
	}
	h->blocked = blocked;
}
