#include "base/notices.h"

#include <stddef.h>
#include <unistd.h>

void notices_take(int fd, void (*take)(void *cookie, const struct inotify_event *ev), void *cookie)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *ev = (void *)p;

			take(cookie, ev);
			p += sizeof(*ev) + ev->len;
		}
	}
}
