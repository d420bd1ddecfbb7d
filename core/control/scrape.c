#include "control/scrape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"

static const char question[] = "GET /metrics HTTP/1.1\r\nHost: memnet\r\n\r\n";

/* ---- text ---- */

/* NAME{space="VM/SPACE"} VALUE, and without the label. */
static bool parse_sample(char *line, char **name, char **space, uint64_t *value)
{
	char *end = line + strcspn(line, "{ "), *label = NULL, *rest;
	double number;

	*name = line;
	*space = end;
	if (*end == '{') {
		label = end + 1;
		end = strchr(end, '}');
	}
	if (!end || end[0] == '\0' || (label && strncmp(label, "space=\"", 7) != 0))
		return false;
	number = strtod(end + 1, &rest);
	if (rest == end + 1 || !(number >= 0 && number < 0x1p63))
		return false;
	*value = (uint64_t)number;
	(*space)[0] = '\0'; /* ends the name */
	if (!label)
		return true;
	*space = label + 7;
	(*space)[strcspn(*space, "\"")] = '\0';
	return true;
}

void scrape_parse(char *text,
		  void (*line)(void *cookie, const char *name, const char *space, uint64_t value),
		  void *cookie)
{
	char *next, *name, *space;
	uint64_t value;

	for (; *text; text = next) {
		next = text + strcspn(text, "\n");
		if (*next)
			*next++ = '\0';
		if (*text != '#' && parse_sample(text, &name, &space, &value))
			line(cookie, name, space, value);
	}
}

static void take_sample(void *cookie, const char *name, const char *space, uint64_t value)
{
	struct scrape *s = cookie;

	if (*space)
		s->space(s, space, name, value);
	else if (strcmp(name, "memnet_stream_listen_port") == 0)
		s->port = (uint16_t)value;
	else if (strcmp(name, "memnet_stream_rate_limit_bytes") == 0)
		s->rate_bps = value;
	else if (strcmp(name, "memnet_stream_client_rate_limit_bytes") == 0)
		s->client_bps = value;
}

/* ---- the connection ---- */

static void disconnect(struct scrape *s)
{
	if (s->watch.fd < 0)
		return;
	loop_remove(s->loop, &s->watch);
	close(s->watch.fd);
	s->watch.fd = -1;
	s->waiting = false;
	s->retry_ns = s->loop->now_ns + SCRAPE_RETRY_NS;
}

static void fail(struct scrape *s, const char *why)
{
	if (!s->warned)
		log_warn("no figures from the stream at %s: %s (its drain is taken from what is "
			 "freed)",
			 s->address, why);
	s->warned = true;
	disconnect(s);
	if (s->done)
		s->done(s);
}

int scrape_body(char *answer, size_t size, char **body)
{
	char *end = strstr(answer, "\r\n\r\n"), *field;
	long wanted;

	if (!end)
		return -EAGAIN;
	if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0)
		return -EPROTO;
	*body = end + 4;
	field = strcasestr(answer, "\r\nContent-Length:");
	wanted = field && field < end ? strtol(field + 17, NULL, 10) : -1;
	if (wanted < 0)
		return -EPROTO;
	return (size_t)wanted > size - (size_t)(*body - answer) ? -EAGAIN : 0;
}

static void take_answer(struct scrape *s)
{
	char *body;
	int err = scrape_body(s->answer, s->size, &body);

	if (err == -EAGAIN)
		return;
	if (err) {
		fail(s, "it does not answer like a memnet stream's --metrics");
		return;
	}
	s->waiting = false;
	if (s->warned)
		log_info("the stream at %s answers again", s->address);
	s->warned = false;
	scrape_parse(body, take_sample, s);
	if (s->done)
		s->done(s);
}

static void ready(struct watch *w, uint32_t events)
{
	struct scrape *s = container_of(w, struct scrape, watch);
	ssize_t n = recv(w->fd, s->answer + s->size, sizeof(s->answer) - 1 - s->size, 0);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !s->waiting) {
		fail(s, n < 0 ? strerror(errno) : "it closed the connection");
		return;
	}
	s->size += (size_t)n;
	s->answer[s->size] = '\0';
	if (s->size == sizeof(s->answer) - 1)
		fail(s, "its answer is too long");
	else
		take_answer(s);
}

static void reconnect(struct scrape *s)
{
	s->watch.fd = socket(s->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->watch.fd < 0)
		return;
	if ((connect(s->watch.fd, (const void *)&s->to, s->to_size) < 0 && errno != EINPROGRESS) ||
	    loop_add(s->loop, &s->watch, EPOLLIN) < 0)
		fail(s, strerror(errno));
}

void scrape_ask(struct scrape *s)
{
	int64_t now = s->loop->now_ns;

	if (s->waiting && now - s->asked_ns > SCRAPE_WAIT_NS)
		fail(s, "it does not answer");
	if (s->waiting || (s->watch.fd < 0 && now < s->retry_ns))
		return;
	if (s->watch.fd < 0)
		reconnect(s);
	if (s->watch.fd < 0)
		return;
	s->size = 0;
	s->waiting = true;
	s->asked_ns = now;
	/* Not connected yet: it is asked at the next look. */
	if (send(s->watch.fd, question, sizeof(question) - 1, MSG_NOSIGNAL) < 0) {
		s->waiting = false;
		if (errno != EAGAIN && errno != ENOTCONN)
			fail(s, strerror(errno));
	}
}

int scrape_open(struct scrape *s, struct loop *loop, const char *address, uint16_t port,
		struct mn_error *e)
{
	struct sockaddr_in *v4 = (void *)&s->to;
	struct sockaddr_in6 *v6 = (void *)&s->to;

	s->loop = loop;
	s->watch = (struct watch){-1, ready};
	snprintf(s->address, sizeof(s->address), "%.64s:%u", address, port);
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		s->to_size = sizeof(*v4);
	} else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		s->to_size = sizeof(*v6);
	} else {
		return mn_fail(e, MN_USAGE, EINVAL,
			       "bad address \"%.64s\": want a stream's "
			       "--metrics, an IP address and a port",
			       address);
	}
	return 0;
}

void scrape_close(struct scrape *s)
{
	if (s->loop)
		disconnect(s);
}
