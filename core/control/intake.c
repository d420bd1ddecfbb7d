#include "control/intake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/io.h"
#include "space/layout.h"
#include "space/record.h"

static int64_t wall_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * NS_PER_S + t->tv_nsec;
}

/* How long ago the file was renamed. The wall clock may have been set since: not before it was. */
static int64_t age_ns(const struct stat *st)
{
	struct timespec now;
	int64_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = wall_ns(&now) - wall_ns(&st->st_ctim);
	return age > 0 ? age : 0;
}

static struct job_record on_host_clock(const struct record *r, int64_t end_ns)
{
	return (struct job_record){
		.arrival_ns = end_ns - (r->end_ns - r->arrival_ns),
		.start_ns = end_ns - (r->end_ns - r->start_ns),
		.end_ns = end_ns,
		.out_bytes = (uint64_t)r->bytes_out,
		.blocked_ns = r->blocked_ns,
	};
}

/* Reads it into a copy of our own, so that what is checked is what is used. */
static int read_record(int fd, const struct stat *st, struct record *r)
{
	char text[RECORD_MAX];
	ssize_t n;

	if (st->st_size > (off_t)sizeof(text))
		return -EFBIG;
	n = io_read_full(fd, text, sizeof(text));
	return n < 0 ? (int)n : record_parse(text, (size_t)n, r);
}

static void take_file(struct intake *intake, int fd, const struct stat *st, int64_t now_ns)
{
	struct record r;

	if (read_record(fd, st, &r)) {
		intake->nonsense++;
		return;
	}
	if (r.status == RECORD_DONE) /* of the others nobody waited for the result */
		intake->record[intake->count++] = on_host_clock(&r, now_ns - age_ns(st));
}

static bool removed(int jobsfd, const char *name)
{
	return unlinkat(jobsfd, name, 0) == 0 ||
	       (errno == EISDIR && unlinkat(jobsfd, name, AT_REMOVEDIR) == 0);
}

static void take_entry(struct intake *intake, int jobsfd, const char *name, int64_t now_ns,
		       bool keep)
{
	struct stat st;
	cleanup_fd int fd = confine_open_regular(jobsfd, name, O_RDONLY, &st);
	int64_t changed = fd < 0 ? 0 : wall_ns(&st.st_ctim);

	if (keep && (fd < 0 || changed <= intake->taken_ns))
		return;
	/* A folder with something in it stays, and is its guest's loss: it takes the room of one.
	 */
	if (!keep && !removed(jobsfd, name))
		return;
	if (fd < 0)
		intake->nonsense++;
	else
		take_file(intake, fd, &st, now_ns);
}

static int64_t latest_change(struct folder_reader *reader, int rootfd)
{
	struct folder_entry entry;
	int64_t latest = 0;
	struct stat st;

	if (folder_open(reader, rootfd, SPACE_JOBS, INTAKE_MAX) == 0) {
		while (folder_next(reader, &entry)) {
			if (fstatat(reader->fd, entry.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			    wall_ns(&st.st_ctim) > latest)
				latest = wall_ns(&st.st_ctim);
		}
	}
	folder_close(reader);
	return latest;
}

void intake_take(struct intake *intake, int rootfd, int64_t now_ns, bool keep,
		 struct folder_reader *reader)
{
	int64_t latest = keep ? latest_change(reader, rootfd) : 0;
	struct folder_entry entry;

	intake->count = 0;
	intake->more = false;
	if (folder_open(reader, rootfd, SPACE_JOBS, INTAKE_MAX) == 0) {
		while (folder_next(reader, &entry))
			take_entry(intake, reader->fd, entry.name, now_ns, keep);
		intake->more = reader->left == 0;
	}
	folder_close(reader);
	if (latest > intake->taken_ns)
		intake->taken_ns = latest;
}
