#include "guest/turn.h"

#include "base/clock.h"
#include "base/lock.h"

#define PATIENCE_MAX_NS (16 * TURN_PATIENCE_NS)

void turn_init(struct turn *t, int lockfd)
{
	*t = (struct turn){.lockfd = lockfd, .patience_ns = TURN_PATIENCE_NS};
}

static void release(struct turn *t, bool *held, int byte)
{
	if (*held)
		unlock_byte(t->lockfd, byte);
	*held = false;
}

bool turn_take(struct turn *t)
{
	int64_t now = clock_ns();

	if (t->elder || now < t->not_before_ns)
		return t->elder;
	t->elder = lock_byte(t->lockfd, LOCK_TOKEN) == 0;
	if (t->elder)
		t->stuck_ns = now;
	return t->elder;
}

bool turn_hungry(const struct turn *t)
{
	return lock_byte_held(t->lockfd, LOCK_HUNGRY);
}

/* Not our own lock: that is of the same open file. */
bool turn_others(const struct turn *t)
{
	return lock_byte_held(t->lockfd, LOCK_WAITING);
}

static void pass_on(struct turn *t)
{
	release(t, &t->hungry, LOCK_HUNGRY);
	release(t, &t->elder, LOCK_TOKEN);
	t->not_before_ns = clock_ns() + t->patience_ns;
	t->patience_ns =
		t->patience_ns * 2 > PATIENCE_MAX_NS ? PATIENCE_MAX_NS : t->patience_ns * 2;
}

static bool elder_step(struct turn *t)
{
	int64_t stuck = clock_ns() - t->stuck_ns;

	if (!t->hungry && stuck >= TURN_HUNGRY_NS)
		t->hungry = lock_byte(t->lockfd, LOCK_HUNGRY) == 0;
	if (stuck < t->patience_ns || !turn_others(t))
		return false;
	pass_on(t);
	return true;
}

bool turn_step(struct turn *t)
{
	if (!t->waiting) {
		t->waiting = lock_byte_shared(t->lockfd, LOCK_WAITING) == 0;
		t->stuck_ns = clock_ns();
	}
	return turn_take(t) ? elder_step(t) : turn_hungry(t);
}

void turn_progress(struct turn *t)
{
	release(t, &t->waiting, LOCK_WAITING);
}

void turn_end(struct turn *t)
{
	release(t, &t->waiting, LOCK_WAITING);
	release(t, &t->hungry, LOCK_HUNGRY);
	release(t, &t->elder, LOCK_TOKEN);
	t->patience_ns = TURN_PATIENCE_NS;
	t->not_before_ns = 0;
}
