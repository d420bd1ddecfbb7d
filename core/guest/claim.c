#include "guest/claim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/rename.h"

#define NOTE_MAX   (NAME_MAX + 10)
#define NUMBER_MAX 10000

static bool settled(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	/* A time to come says nothing. */
	return now.tv_sec - st->st_ctim.tv_sec >= CLAIM_SETTLE_S || st->st_ctim.tv_sec > now.tv_sec;
}

/* The kernel grants a read lease on what nobody has open for writing, and only to its owner. */
bool claim_whole(int fd, const struct stat *st)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		fcntl(fd, F_SETLEASE, F_UNLCK);
		return true;
	}
	return errno != EAGAIN && settled(st);
}

bool claim_whole_at(int dirfd, const char *name)
{
	cleanup_fd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && claim_whole(fd, &st);
}

bool claim_holds(const struct claim *c, int dirfd, const char *name)
{
	struct stat now;

	return c->fd >= 0 && fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	       io_same_content(&c->st, &now);
}

int claim_take(int dirfd, const char *name, struct claim *c)
{
	struct claim taken = CLAIM_INIT;
	cleanup_fd int fd =
		openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? -ENOENT : -errno;
	if (fstat(fd, &taken.st) < 0)
		return -errno;
	if (!S_ISREG(taken.st.st_mode))
		return -ENOENT;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	/* Behind the lock: its last holder may have moved it in the meantime. */
	taken.fd = fd;
	if (fstat(fd, &taken.st) < 0 || !claim_holds(&taken, dirfd, name))
		return -ENOENT;
	if (!claim_whole(fd, &taken.st))
		return -EAGAIN;
	*c = taken;
	(void)STEAL_FD(fd);
	return 0;
}

void claim_drop(struct claim *c)
{
	cleanup_close(&c->fd);
	c->fd = -1;
}

int claim_move(int dirfd, const char *name, int tofd)
{
	char numbered[NAME_MAX + 1];
	int err = rename_new(dirfd, name, tofd, name);

	for (int i = 1; err == -EEXIST && i < NUMBER_MAX; i++) {
		int n = snprintf(numbered, sizeof(numbered), "%s.~%d~", name, i);

		if (n >= (int)sizeof(numbered))
			return -ENAMETOOLONG;
		err = rename_new(dirfd, name, tofd, numbered);
	}
	return err;
}

static void note_name(const char *name, char note[NOTE_MAX])
{
	snprintf(note, NOTE_MAX, ".%s.memnet", name);
}

static void note_text(const struct stat *object, char text[64])
{
	snprintf(text, 64, "%" PRIu64 ":%" PRId64, (uint64_t)object->st_ino,
		 (int64_t)object->st_size);
}

int claim_note(int dirfd, const char *name, const struct stat *object)
{
	char note[NOTE_MAX], text[64];

	note_name(name, note);
	note_text(object, text);
	unlinkat(dirfd, note, 0);
	return symlinkat(text, dirfd, note) < 0 ? -errno : 0;
}

void claim_note_remove(int dirfd, const char *name)
{
	char note[NOTE_MAX];

	note_name(name, note);
	unlinkat(dirfd, note, 0);
}

bool claim_note_of(const char *note, char name[NAME_MAX + 1])
{
	size_t len = strlen(note), suffix = strlen(".memnet");

	if (note[0] != '.' || len <= 1 + suffix || strcmp(note + len - suffix, ".memnet") != 0)
		return false;
	snprintf(name, NAME_MAX + 1, "%.*s", (int)(len - 1 - suffix), note + 1);
	return true;
}

void claim_notes_clean(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char name[NAME_MAX + 1];
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (claim_note_of(entry->d_name, name) &&
		    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			claim_note_remove(dirfd, name);
	}
}

bool claim_noted(int dirfd, const char *name, const struct stat *object)
{
	char note[NOTE_MAX], text[64], found[64];
	ssize_t n;

	note_name(name, note);
	note_text(object, text);
	n = readlinkat(dirfd, note, found, sizeof(found) - 1);
	if (n < 0)
		return false;
	found[n] = '\0';
	return strcmp(text, found) == 0;
}
