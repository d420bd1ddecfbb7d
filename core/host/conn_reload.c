/*
 * Playlists that still grow: they are served with the promise that a request can wait for the next
 * segment, and such requests do.
 *
 * Theory of operation. The promise (EXT-X-SERVER-CONTROL) goes out in the place of the playlist's
 * first line, and then the object from its second line on, like any other. So it is served whole:
 * a range of it would be of bytes that the object does not have.
 *
 * A request that has to wait gives its object back and stays in the connection's input, as if it
 * had not been read. When the file changes, or the time is over, it is read and answered anew: what
 * is there by its name then may be another file, or none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/conn.h"
#include "host/playlist.h"

/* Three target durations, as the specification says; a guest may claim any. */
#define TARGETS	     3
#define TARGET_MAX_S 20

/* True if the object is a playlist that grows. */
static bool read_playlist(const struct object *o, struct playlist *p)
{
	const size_t size = (size_t)o->st.st_size;
	cleanup_free char *text = NULL;

	if (o->live || strcmp(o->type, "application/vnd.apple.mpegurl") != 0 ||
	    o->st.st_size > PLAYLIST_MAX)
		return false;
	text = malloc(size + 1);
	return text && pread(o->fd, text, size, 0) == (ssize_t)size &&
	       playlist_parse(text, size, p);
}

static bool has_changed(const struct object *o)
{
	struct stat st;

	return fstat(o->fd, &st) < 0 || st.st_nlink == 0 || st.st_size != o->st.st_size ||
	       st.st_mtim.tv_sec != o->st.st_mtim.tv_sec ||
	       st.st_mtim.tv_nsec != o->st.st_mtim.tv_nsec;
}

static void wake(struct conn *c)
{
	list_remove(&c->waiting);
	if (list_empty(&c->runnable))
		list_append(&c->worker->runnable, &c->runnable);
}

void conn_reload_wake(struct list *waiting)
{
	struct list *l;

	while ((l = list_first(waiting)) != NULL)
		wake(list_entry(l, struct conn, waiting));
}

static enum step wait_for_change(struct conn *c, int64_t target_s)
{
	struct worker *w = c->worker;
	const int64_t now = w->loop.now_ns;
	struct object *o = c->object;

	if (c->held_until_ns == 0)
		c->held_until_ns =
			now +
			NS_PER_S * TARGETS * (target_s < TARGET_MAX_S ? target_s : TARGET_MAX_S);
	if (now >= c->held_until_ns || w->draining ||
	    reload_hold(&w->follow.reload, o->fd, &c->waiting))
		return answer_plain(c, 503, "Cache-Control: no-store\r\n",
				    "Service Unavailable: no such segment yet");
	if (has_changed(o)) /* before it was watched */
		wake(c);
	c->object = NULL;
	object_put(o, now);
	c->state = CONN_RELOAD;
	conn_set_deadline(c, c->held_until_ns - now);
	return STEP_WAIT;
}

enum step conn_reload_check(struct conn *c, const struct http_request *r)
{
	struct playlist p;
	int64_t msn = -1;
	int wanted;

	c->promise = NULL;
	c->grows = read_playlist(c->object, &p);
	if (!c->grows)
		return STEP_DONE;
	wanted = playlist_wanted(r->query, &msn);
	if (wanted < 0)
		return answer_plain(c, 400, "", "Bad Request: _HLS_msn is not a number");
	if (wanted && msn > p.next - 1 + PLAYLIST_AHEAD_MAX)
		return answer_plain(c, 400, "", "Bad Request: _HLS_msn is too far ahead");
	if (wanted && msn >= p.next)
		return wait_for_change(c, p.target_s);
	if (!p.controlled) {
		c->promise = PLAYLIST_PROMISE;
		c->skipped = p.first_line;
	}
	return STEP_DONE;
}

enum step conn_reload(struct conn *c)
{
	if (!list_empty(&c->waiting) && c->held_until_ns > c->worker->loop.now_ns &&
	    !c->worker->draining)
		return STEP_WAIT;
	list_remove(&c->waiting);
	c->state = CONN_HEAD;
	return STEP_GO_ON;
}
