#include "space/pace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/io.h"
#include "base/json.h"
#include "space/layout.h"

#define NAME  "pace"
#define OTHER "pace.other" /* exchanged with it */

#define WHOLE_MAX (INT64_C(1) << 53) /* a JSON number holds no more exactly */

int pace_format(const struct pace *p, char *buf, size_t size)
{
	char limit[40] = "";
	int n;

	if (p->growing_limit != PACE_ANY)
		snprintf(limit, sizeof(limit), ",\"growing_limit\":%" PRIu32, p->growing_limit);
	n = snprintf(buf, size,
		     "{\"schema\":%d,\"serial\":%" PRIu64 ",\"size_bytes\":%" PRIu64
		     ",\"free_bytes\":%" PRIu64 ",\"drain_bytes_per_s\":%" PRIu64
		     ",\"level\":%d,\"valid_ns\":%" PRId64 "%s}\n",
		     PACE_SCHEMA, p->serial, p->size_bytes, p->free_bytes, p->drain_bytes_per_s,
		     p->level, p->valid_ns, limit);
	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

static int whole(const cJSON *json, const char *name, uint64_t *value)
{
	int64_t number;
	int err = json_integer(json, name, 0, WHOLE_MAX, &number);

	if (!err)
		*value = (uint64_t)number;
	return err;
}

static int parse_limit(const cJSON *json, uint32_t *limit)
{
	int64_t number;
	int err;

	*limit = PACE_ANY;
	if (!cJSON_GetObjectItemCaseSensitive(json, "growing_limit"))
		return 0;
	err = json_integer(json, "growing_limit", 0, PACE_ANY, &number);
	if (!err)
		*limit = (uint32_t)number;
	return err;
}

int pace_parse(const char *text, size_t size, struct pace *p)
{
	cleanup_json cJSON *json = size <= PACE_MAX ? json_parse(text, size) : NULL;
	int64_t schema, level;

	if (!cJSON_IsObject(json) || json_integer(json, "schema", 1, PACE_SCHEMA, &schema) ||
	    whole(json, "serial", &p->serial) || whole(json, "size_bytes", &p->size_bytes) ||
	    whole(json, "free_bytes", &p->free_bytes) ||
	    whole(json, "drain_bytes_per_s", &p->drain_bytes_per_s) ||
	    json_integer(json, "level", -1, 1, &level) ||
	    json_integer(json, "valid_ns", 1, WHOLE_MAX, &p->valid_ns) ||
	    parse_limit(json, &p->growing_limit))
		return -EINVAL;
	p->level = (int)level;
	return 0;
}

static int write_other(int dirfd, const struct stat *owner, const char *text, size_t size)
{
	cleanup_fd int fd = confine_open(dirfd, OTHER, O_WRONLY | O_CREAT, 0600);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_size > PACE_MAX)
		return -EINVAL;
	if ((st.st_uid != owner->st_uid || st.st_gid != owner->st_gid) &&
	    fchown(fd, owner->st_uid, owner->st_gid) < 0)
		return -errno;
	/* The page is there before the length is cut: a full space refuses nothing any more. */
	if (pwrite(fd, text, size, 0) != (ssize_t)size)
		return -ENOSPC;
	return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

/* 1: there was none to exchange it with. */
static int exchange(int dirfd)
{
	if (syscall(SYS_renameat2, dirfd, OTHER, dirfd, NAME, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	return renameat(dirfd, OTHER, dirfd, NAME) < 0 ? -errno : 1;
}

int pace_write(int rootfd, const struct pace *pace)
{
	cleanup_fd int dirfd = confine_open(rootfd, SPACE_RESERVED, O_PATH | O_DIRECTORY, 0);
	char text[PACE_MAX];
	struct stat owner;
	int n = pace_format(pace, text, sizeof(text)), err;

	if (dirfd < 0)
		return dirfd;
	if (n < 0 || fstat(rootfd, &owner) < 0)
		return n < 0 ? n : -errno;
	err = write_other(dirfd, &owner, text, (size_t)n);
	if (!err)
		err = exchange(dirfd);
	if (err == 1) /* the second page is taken with the first: later the space may be full */
		err = write_other(dirfd, &owner, text, (size_t)n);
	return err;
}

void pace_remove(int rootfd)
{
	cleanup_fd int dirfd = confine_open(rootfd, SPACE_RESERVED, O_PATH | O_DIRECTORY, 0);

	if (dirfd < 0)
		return;
	unlinkat(dirfd, NAME, 0);
	unlinkat(dirfd, OTHER, 0);
}

int pace_read(int rootfd, struct pace *pace)
{
	struct stat st;
	cleanup_fd int fd = confine_open_regular(rootfd, SPACE_PACE, O_RDONLY, &st);
	char text[PACE_MAX];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = io_read_full(fd, text, sizeof(text));
	return n < 0 ? (int)n : pace_parse(text, (size_t)n, pace);
}
