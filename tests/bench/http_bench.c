/*
 * A client that costs little: http_bench ADDRESS PORT PATH CONNECTIONS REQUESTS [SECONDS]
 *
 * Asks REQUESTS times in all over as many persistent connections, or for SECONDS (REQUESTS is then
 * 0), and drops what comes in the kernel (MSG_TRUNC). Prints, tab-separated: requests, bytes,
 * seconds, the longest time in ms that any connection got nothing in while it was to (once all were
 * there), the least bytes that one got, and the bytes that all have got. SECONDS begin when all
 * connections are there; the least is by its own time, as if it had been there from the first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

struct client {
	int fd;
	long left; /* requests */
	long long body, total;
	int64_t asked_ns, last_ns;
	size_t head_size;
	char head[1024];
};

static char request[1024];
static size_t request_size;
static struct sockaddr_in server;
static long requests;
static long long bytes;
static int64_t longest_ns;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void ask(struct client *c)
{
	c->head_size = 0;
	c->body = -1;
	if (write(c->fd, request, request_size) != (ssize_t)request_size)
		die("write");
}

static void begin(struct client *c, int epfd, long left)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		die("connect");
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		die("epoll_ctl");
	c->left = left;
	c->asked_ns = clock_ns();
	ask(c);
}

static void read_head(struct client *c)
{
	ssize_t n = recv(c->fd, c->head + c->head_size, sizeof(c->head) - 1 - c->head_size, 0);
	char *end, *length;

	if (n <= 0)
		die("connection ended");
	c->head_size += (size_t)n;
	c->head[c->head_size] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return;
	length = strcasestr(c->head, "content-length:");
	if (strncmp(c->head + 9, "200", 3) != 0 || !length) {
		fprintf(stderr, "%s\n", c->head);
		exit(1);
	}
	c->body = atoll(length + 15);
	bytes += c->body;
	n = c->head + c->head_size - (end + 4);
	c->body -= n;
	c->total += n;
}

static void read_body(struct client *c)
{
	const size_t most = 1 << 20;
	ssize_t n = recv(c->fd, NULL, c->body < (long long)most ? (size_t)c->body : most,
			 MSG_TRUNC | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("connection ended");
	c->body -= n;
	c->total += n;
}

/* False when its last request is done. */
static bool ready(struct client *c, int64_t now)
{
	if (now - c->last_ns > longest_ns)
		longest_ns = now - c->last_ns;
	c->last_ns = now;
	if (c->body < 0)
		read_head(c);
	else
		read_body(c);
	if (c->body != 0)
		return true;
	requests++;
	if (c->left > 0 && --c->left == 0)
		return false;
	ask(c);
	return true;
}

static void run(struct client *clients, int count, long each, int64_t ns)
{
	const int epfd = epoll_create1(EPOLL_CLOEXEC);
	int64_t end = INT64_MAX;
	int open = count;

	for (int i = 0; i < count; i++)
		begin(&clients[i], epfd, each);
	for (int i = 0; i < count; i++)
		clients[i].last_ns = clock_ns();
	if (ns)
		end = clock_ns() + ns;
	while (open > 0) {
		struct epoll_event ev[256];
		int n = epoll_wait(epfd, ev, 256, 1000);
		const int64_t now = clock_ns();

		if (now > end)
			break;
		for (int i = 0; i < n; i++) {
			if (!ready(ev[i].data.ptr, now)) {
				close(((struct client *)ev[i].data.ptr)->fd);
				open--;
			}
		}
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit = {20000, 20000};
	double least = -1, ns;
	struct client *clients;
	long long all = 0;
	int64_t began;
	int count;

	if (argc < 6)
		return 2;
	setrlimit(RLIMIT_NOFILE, &limit);
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[1], &server.sin_addr);
	request_size = (size_t)snprintf(request, sizeof(request),
					"GET %s HTTP/1.1\r\nHost: a\r\n\r\n", argv[3]);
	count = atoi(argv[4]);
	clients = calloc((size_t)count, sizeof(*clients));
	if (!clients)
		return 1;
	began = clock_ns();
	run(clients, count, atol(argv[5]) / count, argc > 6 ? atoi(argv[6]) * NS_PER_S : 0);
	ns = (double)(clock_ns() - began);
	for (int i = 0; i < count; i++) {
		const double own = (double)(began + (int64_t)ns - clients[i].asked_ns);
		const double bytes_by_time = (double)clients[i].total * ns / own;

		if (least < 0 || bytes_by_time < least)
			least = bytes_by_time;
		all += clients[i].total;
	}
	printf("%ld\t%lld\t%.3f\t%.1f\t%.0f\t%lld\n", requests, bytes, ns / 1e9,
	       (double)longest_ns / 1e6, least, all);
	free(clients);
	return 0;
}
