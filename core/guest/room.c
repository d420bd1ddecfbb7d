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

static void room_sleep(struct room *r)
{
	struct timespec delay = {.tv_nsec = r->delay_ns};

	nanosleep(&delay, NULL);
	r->delay_ns = r->delay_ns * 2 > ROOM_DELAY_MAX_NS ? ROOM_DELAY_MAX_NS : r->delay_ns * 2;
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
	struct room_view view = {0};
	int64_t now = clock_ns();
	int err;

	if (!r->since_ns) {
		r->since_ns = now;
		r->delay_ns = ROOM_DELAY_MIN_NS;
		r->looks = 0;
	}
	if (stop_check())
		return -EINTR;
	if (r->max_wait_ns && now - r->since_ns >= r->max_wait_ns)
		return -ETIMEDOUT;
	if (now - r->since_ns >= ROOM_HOLD_NS)
		room_hold(r, true);
	room_sleep(r);
	err = room_look(r, &view);
	if (err)
		return err;
	return view.free >= enough || ++r->looks % ROOM_LOOKS == 0 ? 0 : -EAGAIN;
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
