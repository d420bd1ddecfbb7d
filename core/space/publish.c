#include "space/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/rename.h"
#include "space/bulk.h"
#include "space/layout.h"
#include "space/live.h"

#define LOOK_NS NS_PER_S

int publish_begin(struct publish *p, int rootfd, const char *owner, unsigned serial)
{
	struct publish begun = PUBLISH_INIT;

	begun.rootfd = rootfd;
	snprintf(begun.part, sizeof(begun.part), SPACE_PART "/%.*s.%u", RECORD_ID_MAX, owner,
		 serial);
	begun.fd = confine_open(rootfd, begun.part, O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0600);
	if (begun.fd < 0)
		return begun.fd;
	*p = begun;
	return 0;
}

/* How many bytes the file has behind `size`. -EIO: more than `most`, so others write to it, or cut
 * it. */
static ssize_t look(struct publish *p, size_t most)
{
	uint64_t taken;
	struct stat st;

	if (fstat(p->fd, &st) < 0)
		return -errno;
	if (st.st_nlink == 0)
		return -ENOENT;
	p->believed = false;
	p->looked_ns = clock_ns();
	taken = (uint64_t)st.st_size - p->size;
	return taken > most ? -EIO : (ssize_t)taken;
}

/* A live object's writer is not to go on for long after the host has dropped it. */
static bool look_is_due(const struct publish *p)
{
	return p->markerfd >= 0 && clock_ns() - p->looked_ns >= LOOK_NS;
}

static ssize_t write_once(struct publish *p, const char *data, size_t size)
{
	size_t most = size < SPACE_WRITE_MAX ? size : SPACE_WRITE_MAX;
	ssize_t n = bulk_write(p->fd, data, most), taken = n;
	int err = n < 0 ? errno : ENOSPC;

	p->believed = n == (ssize_t)most && !bulk_pretends() && !look_is_due(p);
	if (!p->believed)
		taken = look(p, most);
	if (taken < 0)
		return taken;
	p->size += (uint64_t)taken;
	return taken > 0 ? taken : -err;
}

/* A whole piece at one look. Where that is not what it ought to be, all is undone. */
static ssize_t write_piece(struct publish *p, const char *data)
{
	ssize_t n = SPACE_WRITE_MAX, taken;

	for (size_t at = 0; at < SPACE_PIECE && n == SPACE_WRITE_MAX; at += SPACE_WRITE_MAX)
		n = bulk_write(p->fd, data + at, SPACE_WRITE_MAX);
	taken = look(p, SPACE_PIECE);
	if (taken < 0)
		return taken;
	if (taken == SPACE_PIECE) {
		p->size += SPACE_PIECE;
		return taken;
	}
	p->careful = true;
	if (ftruncate(p->fd, (off_t)p->size) < 0)
		return -errno;
	return write_once(p, data, SPACE_PIECE);
}

ssize_t publish_write(struct publish *p, const void *data, size_t size)
{
	bool whole = size >= SPACE_PIECE && p->markerfd < 0 && !p->careful && bulk_pretends();

	return whole ? write_piece(p, data) : write_once(p, data, size);
}

int publish_rewind(struct publish *p)
{
	if (ftruncate(p->fd, 0) < 0)
		return -errno;
	p->size = 0;
	return 0;
}

/* The folder that `path` lies in, made if need be, one confined step after the other. */
static int open_parent(int rootfd, const char *path)
{
	cleanup_fd int at = confine_open(rootfd, ".", O_PATH | O_DIRECTORY, 0);
	const char *slash;

	for (; at >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		char name[256];
		int next;

		snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
		next = confine_open(at, name, O_PATH | O_DIRECTORY, 0);
		if (next == -ENOENT) {
			if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
				return -errno;
			next = confine_open(at, name, O_PATH | O_DIRECTORY, 0);
		}
		close(at);
		at = next;
	}
	return STEAL_FD(at);
}

static int give_name(struct publish *p, const char *path, bool replace)
{
	const char *slash = strrchr(path, '/');
	const char *leaf = slash ? slash + 1 : path;
	cleanup_fd int parent = open_parent(p->rootfd, path);
	int err;

	if (parent < 0)
		return parent;
	if (replace)
		err = renameat(p->rootfd, p->part, parent, leaf) < 0 ? -errno : 0;
	else
		err = rename_new_file(p->rootfd, p->part, parent, leaf);
	if (err)
		return err;
	p->part[0] = '\0';
	snprintf(p->path, sizeof(p->path), "%s", path);
	return 0;
}

static void publish_close(struct publish *p)
{
	cleanup_close(&p->fd);
	cleanup_close(&p->markerfd);
	*p = (struct publish)PUBLISH_INIT;
}

int publish_show(struct publish *p, const char *path, bool replace)
{
	struct stat object, marker;
	bool made;
	int err;

	if (!object_path_valid(path))
		return -EINVAL;
	p->markerfd = live_begin(p->rootfd, path, &made);
	if (p->markerfd < 0)
		return p->markerfd;
	err = fstat(p->fd, &object) < 0 || fstat(p->markerfd, &marker) < 0
		      ? -errno
		      : give_name(p, path, replace);
	if (!err) {
		p->ino = object.st_ino;
		p->marker_ino = marker.st_ino;
		return 0;
	}
	/* A dead writer's stays, as what it tells of half an object is true. */
	if (made)
		live_end(p->rootfd, path);
	cleanup_close(&p->markerfd);
	p->markerfd = -1;
	return err;
}

/* Whether the name is that file's; another may have taken it. */
static bool is_file(int rootfd, const char *path, ino_t ino)
{
	struct stat st;

	return fstatat(rootfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == ino;
}

/* Not by live_look(): to open and close the marker is nine messages of 9p, as it is locked. */
bool publish_dropped(const struct publish *p)
{
	char marker[LIVE_MARKER_MAX];

	errno = ENOENT; /* what another marker comes to */
	return p->markerfd >= 0 && live_marker_path(p->path, marker) == 0 &&
	       !is_file(p->rootfd, marker, p->marker_ino) && errno == ENOENT;
}

static int end_live(struct publish *p)
{
	return publish_dropped(p) ? -ENOENT : live_end(p->rootfd, p->path);
}

int publish_commit(struct publish *p, const char *path, bool replace)
{
	int err;

	if (!object_path_valid(path))
		return -EINVAL;
	err = p->believed ? (int)look(p, 0) : 0;
	if (err)
		return err;
	err = p->markerfd >= 0 ? end_live(p) : give_name(p, path, replace);
	if (err == 0)
		publish_close(p);
	return err;
}

void publish_abort(struct publish *p)
{
	if (p->part[0])
		unlinkat(p->rootfd, p->part, 0);
	if (p->path[0]) {
		if (is_file(p->rootfd, p->path, p->ino))
			unlinkat(p->rootfd, p->path, 0);
		end_live(p);
	}
	publish_close(p);
}
