#include "guest/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "guest/stop.h"

#define IDLE_MS 500

int source_init(struct source *s, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*s = (struct source){.fd = fd, .size = SOURCE_SIZE_UNKNOWN, .idle_ms = IDLE_MS};
	if (S_ISREG(st.st_mode)) {
		off_t at = lseek(fd, 0, SEEK_CUR);

		/* Files of /proc and /sys say 0 and have more. */
		if (st.st_size > 0 && at >= 0 && at <= st.st_size)
			s->size = (uint64_t)(st.st_size - at);
		s->idle_ms = -1;
	}
	return 0;
}

/* 1: there is something to read or the end; 0: not in time. */
static int source_wait(const struct source *s, int64_t until_ns)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};
	int n = s->idle_ms < 0 ? 1 : poll(&p, 1, clock_left_ms(until_ns));

	if (n < 0 && errno != EINTR)
		return -errno;
	return stop_check() ? -EINTR : n > 0;
}

ssize_t source_read(struct source *s, void *buf, size_t want, bool *more)
{
	const int64_t until_ns = clock_ns() + s->idle_ms * NS_PER_MS;
	size_t got = 0;

	*more = true;
	if (s->size != SOURCE_SIZE_UNKNOWN && want >= s->size - s->taken) {
		want = (size_t)(s->size - s->taken);
		*more = false;
	}
	while (got < want && (got == 0 || s->idle_ms < 0 || clock_ns() < until_ns)) {
		int ready = source_wait(s, until_ns);
		ssize_t n;

		if (ready < 0)
			return ready;
		if (ready == 0)
			break;
		n = read(s->fd, (char *)buf + got, want - got);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		if (n == 0 && s->size != SOURCE_SIZE_UNKNOWN)
			return -ESTALE;
		if (n == 0) {
			*more = false;
			break;
		}
		got += (size_t)n;
		s->taken += (uint64_t)n;
	}
	return (ssize_t)got;
}

static bool all_zero(const void *data, size_t size)
{
	const uint64_t *word = data;

	/* Pieces come from page-aligned buffers; a last odd piece is simply written. */
	if (size == 0 || size % sizeof(*word) || (uintptr_t)data % sizeof(*word))
		return false;
	for (size_t i = 0; i < size / sizeof(*word); i++) {
		if (word[i])
			return false;
	}
	return true;
}

#define HOLE_MIN ((size_t)32 * 1024)

static int write_sparse(struct file_sink *f, const char *data, size_t size)
{
	while (size > 0) {
		size_t n = size < HOLE_MIN ? size : HOLE_MIN;
		int err = 0;

		f->hole = n == HOLE_MIN && all_zero(data, n);
		if (f->hole)
			err = lseek(f->fd, (off_t)n, SEEK_CUR) < 0 ? -errno : 0;
		else
			err = io_write_all(f->fd, data, n);
		if (err)
			return err;
		data += n;
		size -= n;
	}
	return 0;
}

static int file_sink_write(void *cookie, const void *data, size_t size)
{
	struct file_sink *f = cookie;

	if (stop_check())
		return -EINTR;
	return f->sparse ? write_sparse(f, data, size) : io_write_all(f->fd, data, size);
}

struct sink file_sink(struct file_sink *f)
{
	return (struct sink){.write = file_sink_write, .cookie = f};
}

int file_sink_end(struct file_sink *f)
{
	off_t end;

	if (!f->hole)
		return 0;
	end = lseek(f->fd, 0, SEEK_CUR);
	return end < 0 || ftruncate(f->fd, end) < 0 ? -errno : 0;
}

static int null_write(void *cookie, const void *data, size_t size)
{
	(void)cookie;
	(void)data;
	(void)size;
	return stop_check();
}

const struct sink null_sink = {.write = null_write};
