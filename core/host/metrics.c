#include "host/metrics.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "host/worker.h"

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static void counter(FILE *f, const char *name, const char *help, uint64_t value)
{
	head(f, name, "counter", help);
	fprintf(f, "%s_total %llu\n", name, (unsigned long long)value);
}

static struct counters sum(const struct server *s)
{
	struct counters all = {0};

	for (unsigned i = 0; i < s->options.workers; i++) {
		const struct counters *c = &s->workers[i].counters;

		all.accepted += c->accepted;
		all.aborted += c->aborted;
		all.stalls += c->stalls;
		all.sent += c->sent;
		for (int k = 0; k < 6; k++)
			all.responses[k] += c->responses[k];
	}
	return all;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void put_clients(FILE *f, const struct server *s)
{
	unsigned now = 0;

	for (unsigned i = 0; i < s->options.workers; i++)
		now += s->workers[i].conn_count;
	head(f, "memnet_stream_clients", "gauge", "Connections that are open.");
	fprintf(f, "memnet_stream_clients %u\n", now);
}

static void put_responses(FILE *f, const struct counters *all)
{
	head(f, "memnet_stream_responses", "counter", "Responses begun, by their status.");
	for (int k = 1; k < 6; k++)
		fprintf(f, "memnet_stream_responses_total{status=\"%dxx\"} %llu\n", k,
			(unsigned long long)all->responses[k]);
}

static void put_space(FILE *f, const char *name, const char *space, uint64_t value)
{
	fprintf(f, "%s_total{space=\"", name);
	for (const char *p = space; *p; p++)
		fprintf(f, *p == '"' || *p == '\\' ? "\\%c" : *p == '\n' ? "\\n" : "%c", *p);
	fprintf(f, "\"} %llu\n", (unsigned long long)value);
}

/* One figure of every space; names need no escapes: they are checked, or a folder's own. */
static void put_sites(FILE *f, const struct server *s, const char *name, const char *help,
		      size_t offset)
{
	const struct sites *sites = &s->workers[0].sites;

	head(f, name, "counter", help);
	for (size_t i = 0; i < sites->count; i++) {
		uint64_t total = 0;

		for (unsigned k = 0; k < s->options.workers; k++)
			total += *(const uint64_t *)(const void *)((const char *)&s->workers[k]
									   .sites.site[i] +
								   offset);
		put_space(f, name, sites->site[i].name, total);
	}
}

/* A space that nobody asks for is not open in any worker, and nothing of it is released. */
static void put_released(FILE *f, struct server *s)
{
	const struct sites *sites = &s->workers[0].sites;
	const char *name = "memnet_stream_space_released_bytes";

	head(f, name, "counter", "Memory of a space given back.");
	for (size_t i = 0; i < sites->count; i++) {
		dev_t dev = 0;

		for (unsigned k = 0; k < s->options.workers && !dev; k++)
			dev = s->workers[k].sites.site[i].dev;
		put_space(f, name, sites->site[i].name, dev ? release_of(&s->release, dev) : 0);
	}
}

static void gauge(FILE *f, const char *name, const char *help, uint64_t value)
{
	head(f, name, "gauge", help);
	fprintf(f, "%s %llu\n", name, (unsigned long long)value);
}

static uint16_t port_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a;
	socklen_t size = sizeof(a);

	if (getsockname(fd, &a.any, &size) < 0)
		return 0;
	return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

/* What `memnet tune` wants to know of us; no limit is 0. */
static void put_limits(FILE *f, const struct server *s)
{
	gauge(f, "memnet_stream_listen_port", "Where objects are served.", port_of(s->listenfd));
	gauge(f, "memnet_stream_rate_limit_bytes", "Most that all connections get in a second.",
	      s->options.rate);
	gauge(f, "memnet_stream_client_rate_limit_bytes", "Most that one connection gets.",
	      s->options.client_rate);
}

static void put_all(FILE *f, struct server *s)
{
	const struct counters all = sum(s);

	put_clients(f, s);
	counter(f, "memnet_stream_accepted", "Connections accepted.", all.accepted);
	put_responses(f, &all);
	counter(f, "memnet_stream_aborted", "Responses broken off.", all.aborted);
	counter(f, "memnet_stream_stalled", "Clients that took nothing for too long.", all.stalls);
	counter(f, "memnet_stream_sent_bytes", "Bytes sent, heads included.", all.sent);
	put_sites(f, s, "memnet_stream_space_requests", "Requests for a space's objects.",
		  offsetof(struct site, requests));
	put_sites(f, s, "memnet_stream_space_sent_bytes", "Bytes of a space's objects sent.",
		  offsetof(struct site, sent));
	put_released(f, s);
	put_limits(f, s);
	counter(f, "memnet_stream_released_objects", "Objects released.", s->release.objects);
	counter(f, "memnet_stream_abandoned_objects", "Objects given back in part, then dropped.",
		s->release.abandoned);
	counter(f, "memnet_stream_released_bytes", "Memory given back.", s->release.bytes);
	head(f, "memnet_stream_cpu_seconds", "counter", "CPU time used.");
	fprintf(f, "memnet_stream_cpu_seconds_total %.6f\n", cpu_seconds());
	head(f, "memnet_stream_cpu_seconds_per_gigabyte", "gauge", "CPU time by 1e9 bytes sent.");
	fprintf(f, "memnet_stream_cpu_seconds_per_gigabyte %.6f\n",
		all.sent ? cpu_seconds() * 1e9 / (double)all.sent : 0.0);
	fprintf(f, "# EOF\n");
}

int metrics_format(struct server *server, struct text *body)
{
	char *buf = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&buf, &size);

	if (!f)
		return -ENOMEM;
	put_all(f, server);
	if (fclose(f) != 0) {
		free(buf);
		return -ENOMEM;
	}
	*body = (struct text){.buf = buf, .size = size, .room = size};
	return 0;
}
