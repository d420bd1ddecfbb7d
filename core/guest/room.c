#include "guest/room.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/clock.h"
#include "guest/stop.h"

/* The smallest room that is worth a write, unless less is wanted (space/layout.h, SPACE_PIECE). */
#define ROOM_PIECE ((uint64_t)128 * 1024)

void room_init(struct room *r, int rootfd, int64_t max_wait_ns)
{
	*r = (struct room){.rootfd = rootfd, .max_wait_ns = max_wait_ns};
}

int room_look(const struct room *r, struct room_view *view)
{
	struct statvfs st;

	if (fstatvfs(r->rootfd, &st) < 0)
		return -errno;
	view->unit = st.f_frsize;
	view->size = (uint64_t)st.f_blocks * view->unit;
	view->free = (uint64_t)st.f_bavail * view->unit;
	return 0;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The longest sleep of a wait that has lasted so long. */
static int64_t delay_max(const struct room *r, int64_t waited_ns)
{
	int64_t late = waited_ns / ROOM_LATE;

	return r->alone && late > ROOM_DELAY_MAX_NS ? least(late, ROOM_DELAY_LONG_NS)
						    : ROOM_DELAY_MAX_NS;
}

bool room_is_long(const struct room *r)
{
	return r->since_ns && clock_ns() - r->since_ns > ROOM_LATE * ROOM_DELAY_MAX_NS;
}

static void room_sleep(struct room *r, int64_t waited_ns)
{
	struct timespec delay = {.tv_nsec = r->delay_ns};

	nanosleep(&delay, NULL);
	r->untried_ns += r->delay_ns;
	r->delay_ns = least(r->delay_ns * 2, delay_max(r, waited_ns));
}

static bool room_try(struct room *r)
{
	if (r->untried_ns < (r->alone ? 2 * ROOM_TRY_NS : ROOM_TRY_NS))
		return false;
	r->untried_ns = 0;
	return true;
}

static void room_hold(struct room *r, bool held)
{
	if (r->hold && r->held != held)
		r->hold(r->hold_cookie, held);
	r->held = held;
}

int room_step(struct room *r, uint64_t want)
{
	uint64_t enough = want < ROOM_PIECE ? want : ROOM_PIECE;
	int64_t now = clock_ns();
	int err;

	if (!r->since_ns) {
		r->since_ns = now;
		r->delay_ns = ROOM_DELAY_MIN_NS;
		r->untried_ns = 0;
		r->alone = false;
	}
	if (stop_check())
		return -EINTR;
	if (r->max_wait_ns && now - r->since_ns >= r->max_wait_ns)
		return -ETIMEDOUT;
	if (now - r->since_ns >= ROOM_HOLD_NS)
		room_hold(r, true);
	room_sleep(r, now - r->since_ns);
	err = room_look(r, &r->seen);
	if (err)
		return err;
	return r->seen.free >= enough || room_try(r) ? 0 : -EAGAIN;
}

void room_taken(struct room *r)
{
	int64_t now = clock_ns();

	if (!r->since_ns)
		return;
	r->blocked_ns += now > r->since_ns ? now - r->since_ns : 0;
	r->since_ns = 0;
	room_hold(r, false);
}
