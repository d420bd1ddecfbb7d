#include "control/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* Names looked at in the folder: no more streams run on a host. */
#define NAMES_MAX 256

/* ---- one stream ---- */

static void forget_space(struct stream_link *l, size_t i)
{
	struct streams *s = l->streams;

	if (l->row[i].known)
		s->told(s->cookie, i, NULL);
	l->row[i] = (struct stream_row){0};
}

static void disconnect(struct stream_link *l)
{
	bool waiting = l->waiting;

	if (l->watch.fd < 0)
		return;
	loop_remove(l->streams->loop, &l->watch);
	close(l->watch.fd);
	connections_close(&l->connections);
	l->stream = (struct link_stream){0};
	l->watch.fd = -1;
	l->waiting = false;
	for (size_t i = 0; i < l->streams->nspaces; i++)
		forget_space(l, i);
	if (waiting)
		l->streams->done(l->streams->cookie);
}

static void fail(struct stream_link *l, const char *why)
{
	if (!l->warned)
		log_warn("no figures from the stream of process %.*s: %s (its drain is taken from "
			 "what is freed)",
			 (int)strcspn(l->name, "."), l->name, why);
	l->warned = true;
	l->retry_ns = l->streams->loop->now_ns + STREAMS_RETRY_NS;
	disconnect(l);
}

static uint64_t risen(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

static void take_space(struct stream_link *l, const struct link_space *space)
{
	struct streams *s = l->streams;
	size_t i = s->find(s->cookie, &space->name);
	struct stream_row *row = &l->row[i < s->nspaces ? i : 0];
	struct stream_news news = {0};

	if (i >= s->nspaces)
		return;
	if (row->known)
		news = (struct stream_news){risen(row->sent_bytes, space->sent_bytes),
					    risen(row->released_bytes, space->released_bytes)};
	*row = (struct stream_row){
		.known = true,
		.told = true,
		.sent_bytes = space->sent_bytes,
		.released_bytes = space->released_bytes,
		.clients = space->clients,
		.idle = space->edge + space->rtsp,
		.backlog_bytes = space->backlog_bytes,
		.lent_bps = row->lent_bps,
	};
	s->told(s->cookie, i, &news);
}

/* The end of an answer; true when it was the one that is waited for. */
static bool end_answer(struct stream_link *l)
{
	struct streams *s = l->streams;

	if (l->ahead) {
		l->ahead--;
		return false;
	}
	if (!l->waiting) {
		fail(l, "it says what nobody asked for");
		return false;
	}
	l->waiting = false;
	for (size_t i = 0; i < s->nspaces; i++) {
		if (!l->row[i].told)
			forget_space(l, i);
		l->row[i].told = false;
	}
	if (l->warned)
		log_info("the stream of process %.*s answers again", (int)strcspn(l->name, "."),
			 l->name);
	l->warned = false;
	return true;
}

static bool take_line(struct stream_link *l, char *line)
{
	struct link_stream stream;
	struct link_space space;

	switch (link_parse_answer(line, &stream, &space)) {
	case LINK_STREAM: l->stream = stream; return false;
	case LINK_SPACE: take_space(l, &space); return false;
	case LINK_ERROR: log_debug("a stream refuses a rate"); return end_answer(l);
	case LINK_END: return end_answer(l);
	default: return false;
	}
}

static void take_text(struct stream_link *l)
{
	bool answered = false;
	char *line = l->text, *end;

	while (l->watch.fd >= 0 && (end = memchr(line, '\n', l->size - (size_t)(line - l->text)))) {
		*end = '\0';
		answered |= take_line(l, line);
		line = end + 1;
	}
	l->size -= (size_t)(line - l->text);
	memmove(l->text, line, l->size);
	if (l->size == sizeof(l->text) && l->watch.fd >= 0)
		fail(l, "its answer is too long");
	else if (answered)
		l->streams->done(l->streams->cookie);
}

static void ready(struct watch *w, uint32_t events)
{
	struct stream_link *l = container_of(w, struct stream_link, watch);
	ssize_t n = recv(w->fd, l->text + l->size, sizeof(l->text) - l->size, 0);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		l->size += (size_t)n;
		take_text(l);
		return;
	}
	disconnect(l); /* it has ended, or drains */
	l->retry_ns = l->streams->loop->now_ns;
}

/* All or nothing: a socket that does not take a line has a peer that reads none. */
static bool say(struct stream_link *l, const struct link_request *request)
{
	char line[LINK_LINE_MAX];
	int n = link_format_request(request, line, sizeof(line));

	if (send(l->watch.fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n)
		return true;
	fail(l, "it does not answer");
	return false;
}

/* ---- all ---- */

void streams_look(struct streams *s)
{
	for (size_t k = 0; k < STREAMS_MAX; k++) {
		if (s->link[k].watch.fd >= 0)
			connections_look(&s->link[k].connections, s->link[k].stream.port);
	}
}

int streams_open(struct streams *s, struct loop *loop, const char *runtime_dir, size_t nspaces,
		 bool dry_run)
{
	*s = (struct streams){.loop = loop,
			      .runtime_dir = runtime_dir,
			      .nspaces = nspaces,
			      .dry_run = dry_run,
			      .rows = calloc(STREAMS_MAX * nspaces, sizeof(*s->rows))};
	for (size_t k = 0; k < STREAMS_MAX; k++) {
		s->link[k].watch = (struct watch){-1, ready};
		s->link[k].streams = s;
		s->link[k].row = s->rows + k * nspaces;
	}
	return s->rows ? 0 : -ENOMEM;
}

void streams_close(struct streams *s)
{
	s->nspaces = 0; /* nobody is told any more */
	for (size_t k = 0; s->loop && k < STREAMS_MAX; k++) {
		s->link[k].waiting = false;
		disconnect(&s->link[k]);
	}
	free(s->rows);
	s->rows = NULL;
}

static struct stream_link *link_of(struct streams *s, const char *name)
{
	for (size_t k = 0; k < STREAMS_MAX; k++) {
		if (strcmp(s->link[k].name, name) == 0)
			return &s->link[k];
	}
	return NULL;
}

static void reach(struct stream_link *l, int folderfd)
{
	struct streams *s = l->streams;
	int fd = link_connect(folderfd, l->name);

	if (fd == -ECONNREFUSED && !s->dry_run)
		unlinkat(folderfd, l->name, 0); /* it was killed */
	if (fd < 0) {
		l->name[0] = '\0';
		return;
	}
	l->watch.fd = fd;
	l->size = l->ahead = 0;
	if (loop_add(s->loop, &l->watch, EPOLLIN) == 0) {
		connections_open(&l->connections);
		return;
	}
	close(fd);
	l->watch.fd = -1;
}

static void take_name(struct streams *s, int folderfd, const char *name)
{
	struct stream_link *l = link_name_valid(name) ? link_of(s, name) : NULL;

	if (!l && link_name_valid(name)) {
		l = link_of(s, "");
		if (!l && !s->full)
			log_warn("more than %d streams: the others are done without", STREAMS_MAX);
		s->full |= !l;
		if (l)
			strcpy(l->name, name);
	}
	if (!l)
		return;
	l->present = true;
	if (l->watch.fd < 0 && s->loop->now_ns >= l->retry_ns)
		reach(l, folderfd);
}

static void end_absent(struct stream_link *l)
{
	if (l->present || !l->name[0])
		return;
	disconnect(l);
	l->name[0] = '\0';
	l->warned = false;
	l->retry_ns = 0;
}

void streams_find(struct streams *s, struct folder_reader *reader)
{
	cleanup_fd int folderfd = link_folder(s->runtime_dir, false);
	struct folder_entry entry;

	for (size_t k = 0; k < STREAMS_MAX; k++)
		s->link[k].present = false;
	if (folderfd >= 0 && folder_open(reader, folderfd, ".", NAMES_MAX) == 0) {
		while (folder_next(reader, &entry))
			take_name(s, folderfd, entry.name);
		folder_close(reader);
	}
	for (size_t k = 0; k < STREAMS_MAX; k++)
		end_absent(&s->link[k]);
}

void streams_ask(struct streams *s)
{
	static const struct link_request get = {.verb = LINK_GET};
	int64_t now = s->loop->now_ns;

	for (size_t k = 0; k < STREAMS_MAX; k++) {
		struct stream_link *l = &s->link[k];

		if (l->waiting && now - l->asked_ns > STREAMS_WAIT_NS)
			fail(l, "it does not answer");
		if (l->watch.fd < 0 || l->waiting || !say(l, &get))
			continue;
		l->waiting = true;
		l->asked_ns = now;
	}
}

bool streams_waiting(const struct streams *s)
{
	for (size_t k = 0; k < STREAMS_MAX; k++) {
		if (s->link[k].waiting)
			return true;
	}
	return false;
}

struct stream_row streams_sum(const struct streams *s, size_t i)
{
	struct stream_row sum = {0};

	for (size_t k = 0; k < STREAMS_MAX; k++) {
		const struct stream_row *row = &s->link[k].row[i];

		sum.known |= row->known;
		sum.clients += row->clients;
		sum.idle += row->idle;
		sum.backlog_bytes += row->backlog_bytes;
		sum.lent_bps += row->lent_bps;
	}
	return sum;
}

static unsigned int servers_of(const struct streams *s, size_t i)
{
	unsigned int n = 0;

	for (size_t k = 0; k < STREAMS_MAX; k++)
		n += s->link[k].row[i].known;
	return n;
}

void streams_lend(struct streams *s, size_t i, const struct space_name *name, uint64_t bps,
		  uint64_t lease_ms)
{
	unsigned int servers = servers_of(s, i);
	struct link_request r = {
		.verb = LINK_RATE, .one = true, .space = *name, .lease_ms = lease_ms};

	for (size_t k = 0; k < STREAMS_MAX && !s->dry_run; k++) {
		struct stream_link *l = &s->link[k];

		/* Whoever has not answered has been asked something else. */
		if (!l->row[i].known || l->waiting || (!bps && !l->row[i].lent_bps))
			continue;
		r.total_bps = bps ? bps / servers + 1 : 0;
		if (r.total_bps > LINK_RATE_MAX)
			r.total_bps = LINK_RATE_MAX;
		if (!say(l, &r))
			continue;
		l->ahead++;
		l->row[i].lent_bps = r.total_bps;
	}
}

double streams_limit(const struct streams *s, size_t i)
{
	double limit = 0;

	for (size_t k = 0; k < STREAMS_MAX; k++) {
		const struct stream_link *l = &s->link[k];

		if (!l->row[i].known)
			continue;
		if (!l->stream.rate_bps)
			return 0;
		limit += (double)l->stream.rate_bps;
	}
	return limit;
}

double streams_client_limit(const struct streams *s, size_t i)
{
	uint64_t most = 0;

	for (size_t k = 0; k < STREAMS_MAX; k++) {
		const struct stream_link *l = &s->link[k];

		if (l->row[i].known && l->stream.client_bps > most)
			most = l->stream.client_bps;
	}
	return (double)most;
}

bool streams_serve(const struct streams *s, uint16_t port)
{
	for (size_t k = 0; k < STREAMS_MAX; k++) {
		if (s->link[k].watch.fd >= 0 && port && s->link[k].stream.port == port)
			return true;
	}
	return false;
}
