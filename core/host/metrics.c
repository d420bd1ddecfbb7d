#include "host/metrics.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
		now += s->workers[i].conn_count + s->workers[i].rtsp.count;
	head(f, "memnet_stream_clients", "gauge", "Connections that are open.");
	fprintf(f, "memnet_stream_clients %u\n", now);
}

static void put_responses(FILE *f, const struct counters *all)
{
	head(f, "memnet_stream_responses", "counter", "Responses, by their status, when they end.");
	for (int k = 1; k < 6; k++)
		fprintf(f, "memnet_stream_responses_total{status=\"%dxx\"} %llu\n", k,
			(unsigned long long)all->responses[k]);
}

static void put_label(FILE *f, const char *space)
{
	fprintf(f, "{space=\"");
	for (const char *p = space; *p; p++)
		fprintf(f, *p == '"' || *p == '\\' ? "\\%c" : *p == '\n' ? "\\n" : "%c", *p);
	fprintf(f, "\"} ");
}

/* A figure of every space. */
struct space_figure {
	const char *name, *type, *help;
	uint64_t (*of)(struct server *s, size_t i);
};

static uint64_t requests_of(struct server *s, size_t i)
{
	uint64_t total = 0;

	for (unsigned k = 0; k < s->options.workers; k++)
		total += s->workers[k].sites.site[i].requests;
	return total;
}

#define SURVEYED(name, member)                                                                     \
	static uint64_t name(struct server *s, size_t i)                                           \
	{                                                                                          \
		return survey_of(s, i).member;                                                     \
	}
SURVEYED(sent_of, sent)
SURVEYED(released_of, released)
SURVEYED(stalled_of, stalls)
SURVEYED(clients_of, now.clients)
SURVEYED(edge_of, now.edge)
SURVEYED(rtsp_of, now.rtsp)
SURVEYED(backlog_of, now.backlog)

static uint64_t rate_of(struct server *s, size_t i)
{
	return limits_space(&s->limits, i);
}

static const struct space_figure space_figures[] = {
	{"requests", "counter", "Requests for a space's objects.", requests_of},
	{"sent_bytes", "counter", "Bytes of a space sent, heads included.", sent_of},
	{"released_bytes", "counter", "Memory of a space given back.", released_of},
	{"stalled", "counter", "Clients of a space that took less than 4 KiB in a minute.",
	 stalled_of},
	{"clients", "gauge", "Clients that are being sent an object of it.", clients_of},
	{"edge_clients", "gauge", "Of these, those that wait for a live object to grow.", edge_of},
	{"rtsp_clients", "gauge", "Of all, RTSP sessions; a multicast sender is one.", rtsp_of},
	{"backlog_bytes", "gauge", "What they are still to be sent of what is there.", backlog_of},
	{"rate_limit_bytes", "gauge", "Most that it may send in a second, by memnet tune; 0: any.",
	 rate_of},
};

static void put_spaces(FILE *f, struct server *s)
{
	const struct sites *sites = &s->workers[0].sites;

	for (size_t k = 0; k < sizeof(space_figures) / sizeof(*space_figures); k++) {
		const struct space_figure *figure = &space_figures[k];
		const char *suffix = strcmp(figure->type, "counter") == 0 ? "_total" : "";
		char name[64];

		snprintf(name, sizeof(name), "memnet_stream_space_%s", figure->name);
		head(f, name, figure->type, figure->help);
		for (size_t i = 0; i < sites->count; i++) {
			fprintf(f, "%s%s", name, suffix);
			put_label(f, sites->site[i].name);
			fprintf(f, "%llu\n", (unsigned long long)figure->of(s, i));
		}
	}
}

/* Of a space that is there: a file system by itself, all of it memory. */
static bool held_of(const struct site *site, uint64_t *bytes)
{
	char above[PATH_MAX];
	struct stat root, parent;
	struct statvfs v;

	snprintf(above, sizeof(above), "%s/..", site->dir);
	if (!site->space || stat(site->dir, &root) < 0 || stat(above, &parent) < 0 ||
	    root.st_dev == parent.st_dev || statvfs(site->dir, &v) < 0)
		return false;
	*bytes = (uint64_t)(v.f_blocks - v.f_bfree) * v.f_frsize;
	return true;
}

static void put_held(FILE *f, const struct server *s)
{
	const struct sites *sites = &s->workers[0].sites;
	static const char name[] = "memnet_stream_space_held_bytes";
	uint64_t bytes;

	head(f, name, "gauge", "Memory that a space holds just now, of all its objects.");
	for (size_t i = 0; i < sites->count; i++) {
		if (!held_of(&sites->site[i], &bytes))
			continue;
		fprintf(f, "%s", name);
		put_label(f, sites->site[i].name);
		fprintf(f, "%llu\n", (unsigned long long)bytes);
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
static void put_limits(FILE *f, struct server *s)
{
	gauge(f, "memnet_stream_listen_port", "Where objects are served.", port_of(s->listenfd));
	gauge(f, "memnet_stream_rate_limit_bytes", "Most that all connections get in a second.",
	      limits_total(&s->limits));
	gauge(f, "memnet_stream_client_rate_limit_bytes", "Most that one connection gets.",
	      limits_client(&s->limits));
}

static void put_all(FILE *f, struct server *s)
{
	const struct counters all = sum(s);

	put_clients(f, s);
	counter(f, "memnet_stream_accepted", "Connections accepted.", all.accepted);
	put_responses(f, &all);
	counter(f, "memnet_stream_aborted", "Responses broken off.", all.aborted);
	counter(f, "memnet_stream_stalled", "Clients that took less than 4 KiB in a minute.",
		all.stalls);
	counter(f, "memnet_stream_sent_bytes", "Bytes sent, heads included.", all.sent);
	put_spaces(f, s);
	put_held(f, s);
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
	own_energy_read(&s->energy);
	own_energy_print(&s->energy, all.sent, clock_ns(), f);
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
