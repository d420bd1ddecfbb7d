/* Sizes set on real tmpfs spaces, which a guest fills meanwhile. */
#include "control/watchdog.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "space/layout.h"
#include "space/pool.h"
#include "tests/space/namespace.h"
#include "tests/tap.h"

#define MB UINT64_C(1048576)

static const char runtime[] = "/tmp/run";
static const struct space_name name = {"vm1", "out"};
static struct place place;

static void make_space(void)
{
	mkdir(runtime, 0700);
	mkdir("/tmp/run/vm1", 0700);
	mkdir("/tmp/run/vm1/out", 0700);
	if (mount("test", "/tmp/run/vm1/out", "tmpfs", 0, "size=32m") < 0 ||
	    place_init(&place, runtime, &name))
		abort();
}

/* So many MB that it holds, all told. */
static void fill(unsigned int mb)
{
	int fd = open("/tmp/run/vm1/out/object", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, 0) < 0 || posix_fallocate(fd, 0, (off_t)(mb * MB)))
		abort();
	close(fd);
}

static void shrinks(void)
{
	uint64_t size = 8 * MB;

	fill(4);
	place_look(&place);
	is_int(place_resize(runtime, &place, &size, 0), 0, "shrunk");
	ok(size == 8 * MB && place_look(&place) && place.info.size_bytes == size,
	   "to what was said");
	size = 16 * MB;
	is_int(place_resize(runtime, &place, &size, 0), 0, "and grown");
	is_int((intmax_t)size, 16 * MB, "to what was said");
}

/* The size was chosen for the use as of a look; when it is set, there is more in the space. */
static void filled_meanwhile(void)
{
	uint64_t size;

	fill(4);
	place_look(&place);
	size = place.info.used_bytes;
	fill(5);
	is_int(place_resize(runtime, &place, &size, 0), 0,
	       "one that is filled meanwhile is shrunk");
	is_int((intmax_t)size, 5 * MB + SPACE_PIECE, "to little more than it holds then");
	place_look(&place);
	is_int((intmax_t)place.info.size_bytes, (intmax_t)size, "which is its size");
}

/* What is left to take is less than what may come in a moment. */
static void nearly_full(void)
{
	uint64_t size, before;

	size = 6 * MB;
	is_int(place_resize(runtime, &place, &size, 0), 0, "a size that it can fill");
	place_look(&place);
	before = place.info.size_bytes;
	size = place.info.used_bytes;
	fill((unsigned int)(before / MB));
	is_int(place_resize(runtime, &place, &size, 0), -EINVAL, "one that is full is refused");
	place_look(&place);
	is_int((intmax_t)place.info.size_bytes, (intmax_t)before, "and keeps its size");
}

/* What the watchdog tells of an end is what it did. */
static void safe_sizes(void)
{
	struct place *const places[] = {&place};
	struct watchdog_row row = {place.info.device, 4 * MB};

	fill(1);
	is_int((intmax_t)watchdog_apply(runtime, places, &row, 1, 0, 0), 1, "a safe size is set");
	is_int((intmax_t)place.info.size_bytes, 4 * MB, "and known");
	row.size_bytes = 0;
	is_int((intmax_t)watchdog_apply(runtime, places, &row, 1, 0, 0), 0,
	       "or the space left alone");
	row = (struct watchdog_row){place.info.device + 1, 8 * MB};
	is_int((intmax_t)watchdog_apply(runtime, places, &row, 1, 0, 0), 0,
	       "as is another one there");
}

int main(void)
{
	namespace_enter();
	make_space();
	shrinks();
	filled_meanwhile();
	nearly_full();
	safe_sizes();
	return done_testing();
}
