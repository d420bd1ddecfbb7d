/* Events of inotify, more of them than one read(2) gives, while their taker changes the watches. */
#include "base/notices.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/scratch.h"
#include "tests/tap.h"

#define FILES 1000

struct taken {
	int fd, folder;
	unsigned files, ordered, ignored;
};

static void take(void *cookie, const struct inotify_event *ev)
{
	struct taken *t = cookie;
	char want[64];

	if (ev->mask & IN_IGNORED) {
		t->ignored++;
		return;
	}
	snprintf(want, sizeof(want), "a-name-that-takes-some-room-%04u", t->files);
	t->ordered += ev->len > 0 && strcmp(ev->name, want) == 0;
	if (++t->files == FILES)
		inotify_rm_watch(t->fd, t->folder);
}

static void make_files(int root)
{
	char name[64];

	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "a-name-that-takes-some-room-%04u", i);
		close(openat(root, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
}

int main(void)
{
	const int root = scratch_open();
	struct taken t = {.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
	char self[32];

	notices_take(t.fd, take, &t);
	is_int(t.files, 0, "none is none");
	snprintf(self, sizeof(self), "/proc/self/fd/%d", root);
	t.folder = inotify_add_watch(t.fd, self, IN_CREATE);
	make_files(root);
	notices_take(t.fd, take, &t);
	is_int(t.files, FILES, "all of them");
	is_int(t.ordered, FILES, "in their order, with their names");
	is_int(t.ignored, 1, "what the taker brought about, too");
	notices_take(t.fd, take, &t);
	is_int(t.files, FILES, "each once");
	close(t.fd);
	return done_testing();
}
