#include "control/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/confine.h"

/* As getdents64(2) has it; no C library of ours declares it. */
struct linux_dirent64 {
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

int folder_open(struct folder_reader *reader, int rootfd, const char *path, unsigned names)
{
	reader->fd = confine_open(rootfd, path, O_RDONLY | O_DIRECTORY, 0);
	reader->left = names;
	reader->size = reader->at = 0;
	return reader->fd < 0 ? reader->fd : 0;
}

void folder_close(struct folder_reader *reader)
{
	if (reader->fd >= 0)
		close(reader->fd);
	reader->fd = -1;
}

static bool refill(struct folder_reader *reader)
{
	reader->at = 0;
	reader->size = syscall(SYS_getdents64, reader->fd, reader->buffer, sizeof(reader->buffer));
	return reader->size > 0;
}

bool folder_next(struct folder_reader *reader, struct folder_entry *entry)
{
	while (reader->left && (reader->at < reader->size || refill(reader))) {
		const struct linux_dirent64 *d = (const void *)(reader->buffer + reader->at);

		reader->at += d->size;
		if (strcmp(d->name, ".") == 0 || strcmp(d->name, "..") == 0)
			continue;
		reader->left--;
		*entry = (struct folder_entry){d->name, d->type, (ino_t)d->inode};
		return true;
	}
	return false;
}
