#include "host/controller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define NS_PER_LEASE_MS 1000000LL

/* ---- the socket ---- */

void controller_listen(struct controller_socket *s, const char *runtime_dir,
		       const struct sites *sites)
{
	bool spaces = false;

	for (size_t i = 0; i < sites->count; i++)
		spaces |= sites->site[i].space;
	if (!spaces)
		return;
	s->folderfd = link_folder(runtime_dir, true);
	s->fd = s->folderfd < 0 ? s->folderfd : link_listen(s->folderfd, s->name);
	if (s->fd < 0)
		log_warn("%s/%s: %s (memnet tune will not find this stream)", runtime_dir,
			 LINK_FOLDER, strerror(-s->fd));
}

void controller_remove(struct controller_socket *s)
{
	if (s->fd >= 0) {
		unlinkat(s->folderfd, s->name, 0);
		close(s->fd);
	}
	if (s->folderfd >= 0)
		close(s->folderfd);
}

char *controller_folder(const struct controller_socket *s, const char *runtime_dir)
{
	char *path;

	return s->fd >= 0 && asprintf(&path, "%s/" LINK_FOLDER, runtime_dir) > 0 ? path : NULL;
}

/* ---- what is asked ---- */

static void put_line(struct text *t, const char *line, int size)
{
	text_data(t, line, (size_t)size);
}

static void put_stream(struct controller *c, struct text *t)
{
	struct link_stream s = {
		.pid = getpid(),
		.rate_bps = limits_total(c->limits),
		.client_bps = limits_client(c->limits),
	};
	const int64_t now = c->loop->now_ns, next = limits_next(c->limits, now);
	char line[LINK_LINE_MAX];
	int size;

	if (next != INT64_MAX)
		s.lease_ms = (uint64_t)((next - now) / NS_PER_LEASE_MS);
	snprintf(s.listen, sizeof(s.listen), "%s", c->listening);
	size = link_format_stream(&s, line, sizeof(line));
	put_line(t, line, size);
}

static void put_space(struct controller *c, struct text *t, size_t i)
{
	const struct survey sum = c->survey(c, i);
	struct link_space s = {
		.sent_bytes = sum.sent,
		.released_bytes = sum.released,
		.stalls = sum.stalls,
		.clients = sum.now.clients,
		.edge = sum.now.edge,
		.rtsp = sum.now.rtsp,
		.backlog_bytes = sum.now.backlog,
		.rate_bps = limits_space(c->limits, i),
	};
	char line[LINK_LINE_MAX];
	int size;

	if (name_parse(c->sites->site[i].name, &s.name, NULL) < 0)
		return;
	size = link_format_space(&s, line, sizeof(line));
	put_line(t, line, size);
}

static void get(struct controller *c, struct text *t)
{
	put_stream(c, t);
	for (size_t i = 0; i < c->sites->count; i++) {
		if (c->sites->site[i].space)
			put_space(c, t, i);
	}
	text_put(t, "end\n");
}

static bool same(const struct site *site, const struct space_name *name)
{
	const size_t vm = strlen(name->vm);

	return site->space && strncmp(site->name, name->vm, vm) == 0 && site->name[vm] == '/' &&
	       strcmp(site->name + vm + 1, name->space) == 0;
}

/* Puts what was lent in force, or what has lapsed out of it. */
static void update(struct controller *c)
{
	const int64_t now = c->loop->now_ns;
	int64_t next;

	limits_update(c->limits, now);
	next = limits_next(c->limits, now);
	loop_timer_clear(c->loop, &c->lapse);
	if (next != INT64_MAX)
		loop_timer_set(c->loop, &c->lapse, next);
}

static void lapse(struct timer *t)
{
	update(container_of(t, struct controller, lapse));
}

/* NULL, or what is wrong. */
static const char *lend(struct controller *c, const struct link_request *r)
{
	struct limits *limits = c->limits;
	const int64_t until = c->loop->now_ns + (int64_t)r->lease_ms * NS_PER_LEASE_MS;
	bool found = !r->one;

	if (c->rateless)
		return c->rateless;
	for (size_t i = 0; r->one && i < limits->sites; i++) {
		if (!same(&c->sites->site[i], &r->space))
			continue;
		limits->space_lease[i] = (struct lease){r->total_bps, until};
		found = true;
	}
	if (!r->one) {
		limits->total_lease = (struct lease){r->total_bps, until};
		limits->client_lease = (struct lease){r->client_bps, until};
	}
	update(c);
	return found ? NULL : "that space is not served here";
}

static void answer(struct controller_peer *p, char *line)
{
	struct controller *c = p->controller;
	const char *why = NULL;
	struct link_request r;

	if (!link_parse_request(line, &r, &why))
		why = r.verb == LINK_RATE ? lend(c, &r) : NULL;
	if (why) {
		text_put(&p->answer, "error ");
		text_put(&p->answer, why);
		text_put(&p->answer, "\n");
	} else if (r.verb == LINK_GET) {
		get(c, &p->answer);
	} else {
		text_put(&p->answer, "end\n");
	}
}

/* ---- its connections ---- */

static void set_deadline(struct controller_peer *p)
{
	struct loop *loop = p->controller->loop;

	loop_timer_set(loop, &p->timer, loop->now_ns + CONTROLLER_WAIT_NS);
}

static void hang_up(struct controller_peer *p)
{
	struct controller *c = p->controller;
	struct loop *loop = c->loop;

	loop_timer_clear(loop, &p->timer);
	loop_remove(loop, &p->watch);
	close(p->watch.fd);
	p->watch.fd = -1;
	if (c->peers-- == CONTROLLER_PEERS)
		loop_change(loop, &c->listener.watch, EPOLLIN); /* the next one */
}

/* False when it does not take it now, or is gone. */
static bool send_answer(struct controller_peer *p)
{
	struct loop *loop = p->controller->loop;
	const size_t left = p->answer.size - p->at;
	const ssize_t n = send(p->watch.fd, p->answer.buf + p->at, left, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		hang_up(p);
		return false;
	}
	p->at += n > 0 ? (size_t)n : 0;
	if (n < 0 || (size_t)n < left) {
		loop_change(loop, &p->watch, EPOLLOUT);
		return false;
	}
	p->at = p->answer.size = 0;
	loop_change(loop, &p->watch, EPOLLIN);
	return true;
}

/* Answers the whole lines there are, one after the other. */
static void answer_lines(struct controller_peer *p)
{
	char *end;

	while ((end = memchr(p->line, '\n', p->size))) {
		const size_t size = (size_t)(end + 1 - p->line);

		*end = '\0';
		answer(p, p->line);
		p->size -= size;
		memmove(p->line, end + 1, p->size);
		set_deadline(p);
		if (!send_answer(p))
			return;
	}
	if (p->size == sizeof(p->line))
		hang_up(p); /* no line of ours is as long */
}

static void peer_ready(struct watch *w, uint32_t events)
{
	struct controller_peer *p = container_of(w, struct controller_peer, watch);
	ssize_t n;

	(void)events;
	if (p->answer.size > 0) {
		if (send_answer(p))
			answer_lines(p);
		return;
	}
	n = recv(w->fd, p->line + p->size, sizeof(p->line) - p->size, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(p);
		return;
	}
	p->size += (size_t)n;
	answer_lines(p);
}

static void peer_late(struct timer *t)
{
	hang_up(container_of(t, struct controller_peer, timer));
}

static struct controller_peer *free_peer(struct controller *c)
{
	struct controller_peer *p = c->peer;

	while (p->watch.fd >= 0)
		p++;
	return p;
}

static void listener_ready(struct watch *w, uint32_t events)
{
	struct controller *c = container_of(w, struct controller, listener.watch);
	struct loop *loop = c->loop;
	int fd = acceptor_take(&c->listener, NULL, NULL);
	struct controller_peer *p = free_peer(c);

	(void)events;
	if (fd < 0)
		return;
	p->watch.fd = fd;
	p->size = p->at = p->answer.size = 0;
	if (loop_add(loop, &p->watch, EPOLLIN) < 0) {
		close(fd);
		p->watch.fd = -1;
		return;
	}
	if (++c->peers == CONTROLLER_PEERS)
		loop_change(loop, &c->listener.watch, 0);
	set_deadline(p);
}

int controller_init(struct controller *c, int listenfd)
{
	const size_t room = LINK_LINE_MAX * (c->sites->count + 2);

	c->lapse.fire = lapse;
	c->answers = malloc(CONTROLLER_PEERS * room);
	if (!c->answers)
		return -ENOMEM;
	for (int i = 0; i < CONTROLLER_PEERS; i++)
		c->peer[i] = (struct controller_peer){
			.watch = {-1, peer_ready},
			.timer.fire = peer_late,
			.controller = c,
			.answer = {.buf = c->answers + (size_t)i * room, .room = room},
		};
	return acceptor_start(&c->listener, c->loop, listenfd, EPOLLIN, listener_ready);
}

void controller_fini(struct controller *c)
{
	if (!c->answers)
		return;
	for (int i = 0; i < CONTROLLER_PEERS; i++) {
		if (c->peer[i].watch.fd >= 0)
			hang_up(&c->peer[i]);
	}
	loop_timer_clear(c->loop, &c->lapse);
	acceptor_stop(&c->listener);
	free(c->answers);
	c->answers = NULL;
}
