#include "guest/job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/lock.h"
#include "base/log.h"
#include "guest/stop.h"
#include "space/layout.h"
#include "space/live.h"

#define LOCK_LATE_NS (5 * NS_PER_S)

#define RENEW_TRIES 4

#define PAGE_PATH_MAX (sizeof(SPACE_PART) + 1 + RECORD_ID_MAX)

static void page_path(const char *id, char path[PAGE_PATH_MAX])
{
	snprintf(path, PAGE_PATH_MAX, SPACE_PART "/%s", id);
}

/*
 * Who writes behind a page or marker. 0: nobody any more; -EEXIST: somebody, or it cannot be told,
 * as of another user's; -ENOENT: it is not there, or no longer: its writer was done.
 */
static int look_for_writer(int rootfd, const char *path)
{
	struct stat st;
	cleanup_fd int fd = confine_open_regular(rootfd, path, O_RDWR, &st);

	if (fd == -ENOENT || fd == -EINVAL || fd == -EISDIR || fd == -ELOOP)
		return fd == -ENOENT ? fd : 0;
	if (fd < 0 || lock_byte(fd, 0) != 0)
		return -EEXIST;
	return fstat(fd, &st) < 0 || st.st_nlink == 0 ? -ENOENT : 0;
}

/* Of "ID" and "ID.N" the ID. */
static bool part_owner(const char *name, char id[RECORD_ID_MAX + 1])
{
	size_t len = strcspn(name, ".");

	if (len == 0 || len > RECORD_ID_MAX)
		return false;
	memcpy(id, name, len);
	id[len] = '\0';
	return true;
}

static void clean_part(int rootfd, const char *name)
{
	char id[RECORD_ID_MAX + 1], page[PAGE_PATH_MAX], path[sizeof(SPACE_PART) + 256];

	if (!part_owner(name, id))
		return;
	page_path(id, page);
	if (look_for_writer(rootfd, page) == -EEXIST)
		return;
	snprintf(path, sizeof(path), SPACE_PART "/%s", name);
	unlinkat(rootfd, path, 0);
}

/* A live object whose writer is dead: the object goes first, then its marker (space/live.h). */
static int remove_live(int rootfd, const char *name)
{
	char object[OBJECT_PATH_MAX + 1], marker[LIVE_MARKER_MAX];
	int err;

	snprintf(marker, sizeof(marker), SPACE_LIVE "/%s", name);
	err = look_for_writer(rootfd, marker);
	if (err)
		return err;
	if (live_object_path(name, object, sizeof(object)) == 0)
		unlinkat(rootfd, object, 0);
	unlinkat(rootfd, marker, 0);
	return 0;
}

static void clean_marker(int rootfd, const char *name)
{
	remove_live(rootfd, name);
}

int job_free_name(struct job *j, const char *path)
{
	char marker[LIVE_MARKER_MAX];

	if (live_marker_path(path, marker) < 0) /* it cannot be live */
		return 0;
	return remove_live(j->rootfd, marker + sizeof(SPACE_LIVE)) == -EEXIST ? -EEXIST : 0;
}

static int clean_entries(int rootfd, const char *folder, void (*clean)(int, const char *))
{
	int fd = confine_open(rootfd, folder, O_RDONLY | O_DIRECTORY, 0);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (fd >= 0 && !dir)
		close(fd);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			clean(rootfd, entry->d_name);
	}
	return fd == -ENOENT ? fd : 0;
}

/* Whether there is anything in the folder: 1, 0, or -ENOENT where there is none. To open and read
 * it is nine messages of 9p, to ask for its size is one. */
static int has_entries(int folderfd)
{
	struct stat st;

	if (fstat(folderfd, &st) < 0 || st.st_nlink == 0)
		return -ENOENT;
	return st.st_size != SPACE_FOLDER_SIZE;
}

bool job_has_live(const struct job *j)
{
	return has_entries(j->livefd) != 0;
}

static int clean_folder(const struct job *j, int folderfd, const char *folder,
			void (*clean)(int, const char *))
{
	int err = has_entries(folderfd);

	return err > 0 ? clean_entries(j->rootfd, folder, clean) : err;
}

static int make_id(char id[RECORD_ID_MAX + 1])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	snprintf(id, RECORD_ID_MAX + 1, "%016llx", (unsigned long long)number);
	return 0;
}

/*
 * What of the page the record does not fill stays white space to JSON, so that it need not be cut.
 * Memory of one page, as a kernel that cuts writes (space/bulk.h) makes two of one across two. Jobs
 * of one process begin and end one after the other.
 */
static char page_text[RECORD_MAX] __attribute__((aligned(RECORD_MAX)));

/* The page, RECORD_MAX bytes of it, locked. 0 or -errno, with nothing left behind. */
static int page_make(struct job *j)
{
	char path[PAGE_PATH_MAX];
	cleanup_fd int fd = -1;
	ssize_t n;

	page_path(j->record.id, path);
	fd = confine_open(j->rootfd, path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	memset(page_text, ' ', sizeof(page_text) - 1);
	page_text[sizeof(page_text) - 1] = '\n';
	n = pwrite(fd, page_text, sizeof(page_text), 0);
	if (n == sizeof(page_text) && lock_byte(fd, 0) == 0) {
		j->pagefd = STEAL_FD(fd);
		return 0;
	}
	n = n < 0 ? -errno : -ENOSPC;
	unlinkat(j->rootfd, path, 0);
	return (int)n;
}

void job_look_around(struct job *j)
{
	j->room.alone = j->lockfd >= 0 && room_is_long(&j->room) && !turn_others(&j->turn);
}

int job_wait(struct job *j, int err, uint64_t want)
{
	if (err != -ENOSPC && err != -EDQUOT)
		return err;
	job_look_around(j);
	/* There is nothing to give back, but an elder shall know that somebody waits. */
	while ((err = room_step(&j->room, want)) == -EAGAIN && j->lockfd >= 0)
		(void)turn_step(&j->turn);
	return err == -EAGAIN ? 0 : err;
}

/* The others have it for some messages of 9p, unless they are stopped. */
int job_lock(struct job *j)
{
	const int64_t began = clock_ns(), most = j->room.max_wait_ns;
	const struct timespec delay = {.tv_nsec = NS_PER_MS};
	bool warned = false;
	int err;

	while ((err = lock_byte(j->lockfd, LOCK_HOUSE)) == -EAGAIN) {
		const int64_t waited = clock_ns() - began;
		const bool late = most && waited >= most;

		if (!warned && (late || waited >= LOCK_LATE_NS))
			log_warn("waiting for another job that keeps the space locked (is it "
				 "stopped?)");
		warned = warned || waited >= LOCK_LATE_NS;
		if (late || stop_check())
			return late ? -ETIMEDOUT : -EINTR;
		nanosleep(&delay, NULL);
	}
	return err;
}

void job_unlock(struct job *j)
{
	unlock_byte(j->lockfd, LOCK_HOUSE);
}

static int open_lock(struct job *j)
{
	if (j->lockfd < 0) {
		j->lockfd = confine_open(j->rootfd, SPACE_LOCK, O_RDWR | O_CREAT, 0600);
		if (j->lockfd < 0)
			return j->lockfd;
		/* Once: a job that waits here holds its turn from one try to the next. */
		turn_init(&j->turn, j->lockfd);
	}
	return job_lock(j);
}

/* The folders that a job asks for again and again; kept open, its kernel has their ways as well. */
static int open_folders(struct job *j)
{
	if (j->partfd < 0)
		j->partfd = confine_open(j->rootfd, SPACE_PART, O_PATH | O_DIRECTORY, 0);
	if (j->partfd >= 0 && j->livefd < 0)
		j->livefd = confine_open(j->rootfd, SPACE_LIVE, O_PATH | O_DIRECTORY, 0);
	return j->partfd < 0 ? j->partfd : j->livefd < 0 ? j->livefd : 0;
}

static void close_one(int *fd)
{
	cleanup_close(fd);
	*fd = -1;
}

/* All that keeps a guest's kernel from seeing that the host emptied the space. */
static void close_folders(struct job *j)
{
	close_one(&j->lockfd);
	close_one(&j->livefd);
	close_one(&j->partfd);
	close_one(&j->parentfd);
}

bool job_keep_parent(struct job *j, const char *path)
{
	const char *slash = strrchr(path, '/');
	const size_t size = slash ? (size_t)(slash - path) : 0;

	if (j->parentfd >= 0 && strlen(j->parent) == size && memcmp(j->parent, path, size) == 0)
		return true;
	close_one(&j->parentfd);
	if (size == 0) /* the root, which is open */
		return true;
	memcpy(j->parent, path, size);
	j->parent[size] = '\0';
	j->parentfd = confine_open(j->rootfd, j->parent, O_PATH | O_DIRECTORY, 0);
	return j->parentfd != -ENOENT;
}

static int job_open(struct job *j)
{
	int err = open_folders(j);

	if (!err)
		err = open_lock(j);
	if (err)
		return err == -ETIMEDOUT ? -EBUSY : err;
	err = clean_folder(j, j->partfd, SPACE_PART, clean_part);
	if (!err)
		err = clean_folder(j, j->livefd, SPACE_LIVE, clean_marker);
	if (!err)
		err = page_make(j);
	job_unlock(j);
	return err;
}

/* The folders are there but where the host emptied the space: to look each time would cost a guest
 * a third of what a job costs. */
static int job_open_anyway(struct job *j)
{
	int err = job_open(j);

	if (err != -ENOENT)
		return err;
	close_folders(j);
	err = space_prepare(j->rootfd);
	return err ? err : job_open(j);
}

static int renew_once(struct job *j)
{
	char page[PAGE_PATH_MAX];
	int err;

	close_folders(j);
	err = space_prepare(j->rootfd);
	if (!err)
		err = open_folders(j);
	if (!err)
		err = open_lock(j);
	if (err)
		return err;
	/* Closed first: while it is open, the kernel believes in it. */
	close_one(&j->pagefd);
	page_path(j->record.id, page);
	unlinkat(j->rootfd, page, 0);
	err = page_make(j);
	job_unlock(j);
	return err;
}

/* Of two jobs that begin anew at once, one may find the other's folders in between. */
int job_renew(struct job *j)
{
	int err = -ENOENT;

	for (int tries = 0; tries < RENEW_TRIES && err == -ENOENT; tries++)
		err = renew_once(j);
	return err;
}

int job_refused(const char *dir, int err, struct mn_error *e)
{
	if (err == -ENOENT || err == -ENOTDIR)
		return mn_fail(e, MN_ABSENT, -err,
			       "%s: in no memnet space (on the host: memnet share create; here: "
			       "memnet share mount)",
			       dir);
	if (err == -ETIMEDOUT)
		return mn_fail(e, MN_TIMEOUT, -err,
			       "%s: no room for the job's record (memnet share resize on the host, "
			       "or a longer --max-wait)",
			       dir);
	if (err == -EBUSY)
		return mn_fail(e, MN_TIMEOUT, EBUSY,
			       "%s: another job keeps the space locked (let it go on or end it, or "
			       "a longer --max-wait)",
			       dir);
	if (err == -EINTR)
		return mn_fail(e, MN_FAILED, EINTR, "%s: interrupted", dir);
	if (err == -EACCES)
		return mn_fail(e, MN_FAILED, EACCES,
			       "%s: %s (run as root, or have root give you the space's folders)",
			       dir, strerror(EACCES));
	return mn_fail_errno(e, -err, "%s", dir);
}

static void job_close(struct job *j)
{
	if (j->pagefd >= 0) /* or the kernel unlocks it twice as it closes it, over 9p too */
		unlock_byte(j->pagefd, 0);
	close_one(&j->pagefd);
	close_folders(j);
	close_one(&j->rootfd);
}

int job_begin(struct job *j, const char *dir, enum record_kind kind, int64_t max_wait_ns,
	      struct mn_error *e)
{
	int err;

	*j = (struct job){.rootfd = -1,
			  .partfd = -1,
			  .livefd = -1,
			  .lockfd = -1,
			  .pagefd = -1,
			  .parentfd = -1};
	j->record.kind = kind;
	if (make_id(j->record.id))
		return mn_fail(e, MN_FAILED, EIO, "no random number for the job's id");
	j->record.arrival_ns = j->record.start_ns = clock_ns();
	err = space_find_part(dir, &j->rootfd, &j->partfd, j->below, sizeof(j->below));
	if (err)
		return job_refused(dir, err, e);
	room_init(&j->room, j->rootfd, max_wait_ns);
	do
		err = job_open_anyway(j);
	while (err && (err = job_wait(j, err, RECORD_MAX)) == 0);
	room_taken(&j->room);
	turn_end(&j->turn);
	if (!err)
		return 0;
	job_close(j);
	return job_refused(dir, err, e);
}

static int job_record(struct job *j)
{
	char page[PAGE_PATH_MAX], path[sizeof(SPACE_JOBS) + RECORD_ID_MAX + 8];
	int n = record_format(&j->record, page_text, sizeof(page_text));

	if (n < 0)
		return n;
	page_path(j->record.id, page);
	snprintf(path, sizeof(path), SPACE_JOBS "/%s.json", j->record.id);
	/* But its newline, which is at the end of the page. */
	if (pwrite(j->pagefd, page_text, (size_t)n - 1, 0) != n - 1)
		return -errno;
	return renameat(j->rootfd, page, j->rootfd, path) < 0 ? -errno : 0;
}

/* The host emptied the space: of its folders, or of our page as well. */
static int job_record_anew(struct job *j)
{
	char path[PAGE_PATH_MAX];
	int fd, err = space_prepare(j->rootfd);

	if (!err)
		err = job_record(j);
	if (err != -ENOENT)
		return err;
	page_path(j->record.id, path);
	fd = confine_open(j->rootfd, path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	cleanup_close(&j->pagefd);
	j->pagefd = fd;
	return job_record(j);
}

/* The host drops a record whose times are out of order, and a migration can set a clock back. */
static void record_close(struct job *j, enum record_status status)
{
	struct record *r = &j->record;
	int64_t now = clock_ns(), took = now > r->start_ns ? now - r->start_ns : 0;

	r->status = status;
	r->end_ns = r->start_ns + took;
	r->cpu_ns += clock_cpu_ns();
	r->blocked_ns = j->room.blocked_ns < took ? j->room.blocked_ns : took;
}

int job_end(struct job *j, enum record_status status)
{
	int err = 0;

	if (j->pagefd >= 0) {
		room_taken(&j->room);
		record_close(j, status);
		err = job_record(j);
		if (err == -ENOENT)
			err = job_record_anew(j);
	}
	if (err) {
		log_warn("record %s: lost: %s (memnet tune does not learn of this job)",
			 j->record.id, strerror(-err));
		j->record.id[0] = '\0';
	}
	job_close(j);
	return err;
}
