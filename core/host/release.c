#include "host/release.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "space/live.h"

#define PAGE 4096

struct holding {
	struct list link;
	struct list readers;
	dev_t dev;
	ino_t ino;
	bool flows;	  /* it was live when it was met: give back while reading */
	bool moved;	  /* since the last look: there may be something to give back */
	bool done;	  /* delivered whole, and waits for its other readers */
	int64_t given;	  /* a multiple of PAGE */
	int64_t front;	  /* >= given */
	struct peer peer; /* whose reader moved `front` last */
	int64_t left_ns;  /* since when it is known that nobody reads it; 0: not */
};

int release_init(struct release *r, bool delivered)
{
	*r = (struct release){.delivered = delivered};
	list_init(&r->holdings);
	return -pthread_mutex_init(&r->lock, NULL);
}

static void drop(struct holding *h)
{
	list_remove(&h->link);
	free(h);
}

void release_fini(struct release *r)
{
	struct list *l;

	while ((l = list_first(&r->holdings)) != NULL)
		drop(list_entry(l, struct holding, link));
	pthread_mutex_destroy(&r->lock);
}

int64_t release_given(int fd, const struct stat *st, bool releasing)
{
	off_t data;

	if (st->st_blocks * 512 >= st->st_size)
		return 0;
	data = lseek(fd, 0, SEEK_DATA);
	if (data < 0)
		data = errno == ENXIO ? st->st_size : 0;
	data -= data % PAGE;
	if (data == 0 || fgetxattr(fd, RELEASE_MARK, NULL, 0) >= 0)
		return data;
	return errno == EOPNOTSUPP && releasing ? data : 0;
}

static void count_bytes(struct release *r, dev_t dev, uint64_t bytes)
{
	r->bytes += bytes;
	for (size_t i = 0; i < RELEASE_SPACES_MAX; i++) {
		if (r->space[i].dev && r->space[i].dev != dev)
			continue;
		r->space[i].dev = dev;
		r->space[i].bytes += bytes;
		return;
	}
}

uint64_t release_of(struct release *r, dev_t dev)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < RELEASE_SPACES_MAX && r->space[i].dev; i++) {
		if (r->space[i].dev == dev)
			bytes = r->space[i].bytes;
	}
	pthread_mutex_unlock(&r->lock);
	return bytes;
}

static struct holding *find(struct release *r, const struct stat *st)
{
	for (struct list *l = r->holdings.next; l != &r->holdings; l = l->next) {
		struct holding *h = list_entry(l, struct holding, link);

		if (h->ino == st->st_ino && h->dev == st->st_dev)
			return h;
	}
	return NULL;
}

/*
 * Forgets the eldest that nobody reads of a file system that has its share of them: another one's
 * are another guest's, who shall not lose them by what this one has.
 */
static void make_room(struct release *r, dev_t dev)
{
	struct holding *eldest = NULL;
	unsigned kept = 0;

	for (struct list *l = r->holdings.next; l != &r->holdings; l = l->next) {
		struct holding *h = list_entry(l, struct holding, link);

		if (h->dev != dev || !list_empty(&h->readers))
			continue;
		eldest = eldest ? eldest : h;
		kept++;
	}
	if (kept >= RELEASE_KEPT_MAX)
		drop(eldest);
}

static struct holding *meet(struct release *r, int fd, const struct stat *st)
{
	struct holding *h = find(r, st);

	if (!h) {
		make_room(r, st->st_dev);
		h = calloc(1, sizeof(*h));
		if (!h)
			return NULL;
		h->dev = st->st_dev;
		h->ino = st->st_ino;
		list_init(&h->link);
		list_init(&h->readers);
		list_append(&r->holdings, &h->link);
	}
	if (list_empty(&h->readers)) {
		/* What the file says holds: another server may have been at it, or this may be
		 * another file system by now. */
		h->given = release_given(fd, st, true);
		if (h->front < h->given)
			h->front = h->given;
	}
	return h;
}

static void leave_empty(struct holding *h)
{
	if (list_empty(&h->readers) && h->front <= h->given)
		drop(h);
}

/* Whether the bytes from `from` on continue what has been delivered. */
static bool continues(struct holding *h, int64_t from, const struct peer *peer)
{
	if (!peer)
		return false;
	if (from <= h->given)
		return true;
	return from <= h->front && memcmp(peer, &h->peer, sizeof(*peer)) == 0;
}

static int join(struct release *r, struct reader *reader, int fd, bool live, int64_t from,
		const struct peer *peer)
{
	struct holding *h;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_nlink == 0 && !live)
		return -ENOENT;
	h = meet(r, fd, &st);
	if (!h)
		return -ENOMEM;
	if (from < h->given) {
		leave_empty(h);
		return -ENODATA;
	}
	h->flows |= r->delivered && (live || h->given > 0);
	reader->counts = continues(h, from, peer);
	if (reader->counts) {
		/* Another client begins: what an earlier one had in part no longer counts. */
		if (list_empty(&h->readers) && from < h->front)
			h->front = from;
		h->peer = *peer;
	}
	h->left_ns = 0;
	h->moved = true;
	reader->holding = h;
	reader->flows = h->flows;
	reader->acked = from;
	list_append(&h->readers, &reader->link);
	return 0;
}

int release_join(struct release *r, struct reader *reader, int fd, bool live, int64_t from,
		 const struct peer *peer)
{
	int err;

	pthread_mutex_lock(&r->lock);
	err = join(r, reader, fd, live, from, peer);
	pthread_mutex_unlock(&r->lock);
	return err;
}

/* Up to where everything has been delivered and nobody still reads. */
static int64_t limit(const struct holding *h)
{
	int64_t at = h->front;

	for (struct list *l = h->readers.next; l != &h->readers; l = l->next) {
		const struct reader *reader = list_entry(l, struct reader, link);

		if (reader->acked < at)
			at = reader->acked;
	}
	return at;
}

/*
 * Where to punch from. Of a huge page the kernel frees a part only if it can split the page just
 * then; so that what could not be freed the last time has another chance, all of it is punched
 * again.
 */
static int64_t punch_start(const struct holding *h, int fd)
{
	struct stat st;
	int64_t page = fstat(fd, &st) == 0 && st.st_blksize > PAGE ? st.st_blksize : PAGE;

	return h->given - h->given % page;
}

/* The mark first: a hole without it would be sent as zeroes by the next server. */
static bool mark(struct holding *h, int fd)
{
	return h->given > 0 || fsetxattr(fd, RELEASE_MARK, "", 0, 0) == 0 || errno == EOPNOTSUPP;
}

static void give_back(struct release *r, struct holding *h, int fd, int64_t least)
{
	const int64_t all = limit(h), to = all - all % PAGE;
	int64_t from;

	h->moved = to - h->given >= least;
	if (!h->moved || !mark(h, fd))
		return;
	from = punch_start(h, fd);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from) < 0)
		return;
	count_bytes(r, h->dev, (uint64_t)(to - h->given));
	h->given = to;
	h->moved = false;
}

static void advance(struct reader *reader, int64_t acked)
{
	struct holding *h = reader->holding;

	if (acked <= reader->acked)
		return;
	reader->acked = acked;
	h->moved = true;
	if (reader->counts && acked > h->front)
		h->front = acked;
}

int64_t release_acked(struct release *r, struct reader *reader, int fd, int64_t acked, bool now)
{
	struct holding *h = reader->holding;
	int64_t given;

	pthread_mutex_lock(&r->lock);
	advance(reader, acked);
	/* Of a thousand readers that ask every few milliseconds, not each looks at all others. */
	if (h->flows && (now || h->moved))
		give_back(r, h, fd, now ? PAGE : RELEASE_STEP);
	given = h->given;
	pthread_mutex_unlock(&r->lock);
	return given;
}

/* The folder that `path` is in, by a descriptor, so that no link can lead the unlink elsewhere. */
static int open_parent(int rootfd, const char *path, const char **base)
{
	char folder[1024];
	const char *slash = strrchr(path, '/');
	size_t size = slash ? (size_t)(slash - path) : 0;

	*base = slash ? slash + 1 : path;
	if (!slash)
		return fcntl(rootfd, F_DUPFD_CLOEXEC, 0);
	if (size >= sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, path, size);
	folder[size] = '\0';
	return confine_open(rootfd, folder, O_PATH | O_DIRECTORY, 0);
}

/*
 * Unlinks the name if it still means the file. A guest may put another file there between the look
 * and the unlink; it would have to replace an object in the very moment of its release, and then
 * loses it.
 */
static bool unlink_object(int rootfd, const char *path, const struct stat *file)
{
	const char *base;
	cleanup_fd int parent = open_parent(rootfd, path, &base);
	struct stat there;

	if (parent < 0 || fstatat(parent, base, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	/* Another size: it has been written to since, and that is not what was released. */
	if (there.st_ino != file->st_ino || there.st_dev != file->st_dev ||
	    there.st_size != file->st_size)
		return false;
	return unlinkat(parent, base, 0) == 0;
}

static bool unlink_delivered(const struct release_name *name)
{
	struct stat st;

	return fstat(name->fd, &st) == 0 && st.st_size == name->size &&
	       unlink_object(name->rootfd, name->path, &st);
}

static bool leave(struct release *r, struct reader *reader, const struct release_name *name)
{
	struct holding *h = reader->holding;
	bool unlinked = false;

	list_remove(&reader->link);
	reader->holding = NULL;
	h->moved = true;
	h->done |= name->size >= 0 && reader->counts && h->front >= name->size;
	if (!list_empty(&h->readers))
		return false;
	if (h->done && name->rootfd >= 0 && name->size >= 0)
		unlinked = unlink_delivered(name);
	h->done = false;
	if (unlinked) {
		r->objects++;
		count_bytes(r, h->dev, (uint64_t)(name->size - h->given));
		drop(h);
		return true;
	}
	leave_empty(h);
	return false;
}

bool release_leave(struct release *r, struct reader *reader, const struct release_name *name)
{
	bool unlinked;

	pthread_mutex_lock(&r->lock);
	unlinked = leave(r, reader, name);
	pthread_mutex_unlock(&r->lock);
	return unlinked;
}

static bool remove_unread(struct release *r, int rootfd, const char *path, const struct stat *st)
{
	struct holding *h = find(r, st);

	if (h && !list_empty(&h->readers))
		return false;
	if (!unlink_object(rootfd, path, st))
		return false;
	r->objects++;
	count_bytes(r, st->st_dev, (uint64_t)st->st_blocks * 512);
	if (h)
		drop(h);
	return true;
}

bool release_remove(struct release *r, int rootfd, const char *path, const struct stat *st)
{
	bool removed;

	pthread_mutex_lock(&r->lock);
	removed = remove_unread(r, rootfd, path, st);
	pthread_mutex_unlock(&r->lock);
	return removed;
}

/* A hole in front that we know to be ours: it is a guest's object that is at stake. */
static bool is_given(struct release *r, int fd, const struct stat *st)
{
	return release_given(fd, st, true) > 0 &&
	       (find(r, st) || fgetxattr(fd, RELEASE_MARK, NULL, 0) >= 0);
}

/* As its writer gives up: the object first, then the marker. */
static bool abandon(struct release *r, int rootfd, const char *path, int fd, const struct stat *st)
{
	if (!unlink_object(rootfd, path, st))
		return false;
	live_end(rootfd, path);
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st->st_size);
	r->abandoned++;
	count_bytes(r, st->st_dev, (uint64_t)st->st_blocks * 512);
	return true;
}

static bool abandon_late(struct release *r, int rootfd, const char *path, int fd, int64_t now_ns,
			 int64_t grace_ns)
{
	struct holding *h;
	struct stat st;

	if (fstat(fd, &st) < 0 || !is_given(r, fd, &st))
		return false;
	h = meet(r, fd, &st);
	if (!h || !list_empty(&h->readers))
		return false;
	if (h->left_ns == 0)
		h->left_ns = now_ns;
	if (now_ns - h->left_ns < grace_ns || !abandon(r, rootfd, path, fd, &st))
		return false;
	drop(h);
	return true;
}

bool release_abandon(struct release *r, int rootfd, const char *path, int fd, int64_t now_ns,
		     int64_t grace_ns)
{
	bool abandoned;

	pthread_mutex_lock(&r->lock);
	abandoned = abandon_late(r, rootfd, path, fd, now_ns, grace_ns);
	pthread_mutex_unlock(&r->lock);
	return abandoned;
}
