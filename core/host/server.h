/*
 * The HTTP server: options, start, stop.
 *
 * Theory of operation. Each worker is a thread with its own loop, its own connections and its own
 * open objects; they share the listening socket (which one of them takes a connection is the
 * kernel's choice) and the table of what is to be released. The path of a request: worker.c accepts
 * the connection, conn_read.c reads (the parsers of requests and ranges are pure functions),
 * answer.c finds the object (object.c) and begins the response, conn_send.c sends it when pacer.c
 * lets it, by the path that sender.c chooses; follow.c wakes those who wait for a live object to
 * grow, release.c gives memory back. conn_reload.c keeps a request until a playlist (playlist.c)
 * has its segment, conn_unpack.c sends the content of a compressed object (unpack.c, seekable.c).
 */
#pragma once

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "host/controller.h"
#include "host/limits.h"
#include "host/multicast.h"
#include "host/own_energy.h"
#include "host/rate.h"
#include "host/release.h"
#include "host/site.h"

struct endpoint {
	const char *addr;
	uint16_t port;
};

/* When objects are removed. In all but NEVER, none that someone reads. */
enum release_mode {
	RELEASE_NEVER,
	RELEASE_DELIVERED, /* once a client has it all */
	RELEASE_TTL,	   /* `ttl_ns` after it was last written or read */
	RELEASE_LRU,	   /* the least recently written or read, while a space is nearly full */
};

struct server_options {
	struct endpoint listen;
	unsigned workers; /* >= 1 */
	enum release_mode release;
	int64_t ttl_ns;
	int64_t abandon_ns;	       /* DELIVERED: see release_abandon(); 0: never */
	uint64_t client_rate;	       /* bytes per second, 0: as fast as it goes */
	uint64_t rate;		       /* of all connections together, likewise */
	uint64_t object_rate;	       /* of all clients of one object together, likewise */
	const char *congestion;	       /* TCP's algorithm; NULL: cubic if it can be had */
	const char *cors;	       /* Access-Control-Allow-Origin; NULL: not sent */
	bool listing;		       /* folders are listed */
	struct endpoint metrics;       /* addr NULL: none */
	struct endpoint rtsp;	       /* likewise */
	struct multicast_range groups; /* for RTSP's clients that ask for multicast */
	struct multicast_way multicast;
	const char *access_log; /* a file; NULL: none */
	bool log_json;
	const char *user;		    /* to become when all is open; NULL: stays who it is */
	const char *runtime_dir;	    /* where spaces appear */
	const struct meter_options *energy; /* NULL: not counted */
	int64_t drain_ns; /* how long requests under way may still take after SIGTERM */
};

struct server {
	struct server_options options;
	struct release release;
	struct limits limits;
	struct rates object_rates; /* of what is sent of each object */
	struct own_energy energy;
	struct controller_socket controller;
	char listening[80]; /* "ADDRESS:PORT" of HTTP; "": not yet */
	atomic_bool stopping;
	struct worker *workers;
	unsigned long long descriptors;		/* the most that we may have */
	unsigned started;			/* threads, besides the caller's */
	sem_t running;				/* posted by each of them */
	int listenfd, metricsfd, logfd, nullfd; /* -1: none */
	int rtspfd, rtpfds[2];
};

/* Every worker looks at `stopping`. */
void server_wake(struct server *server);

/*
 * Serves until SIGTERM or SIGINT, in the calling thread and options->workers - 1 others. 0; or
 * -errno with *e. SIGHUP opens the access log anew. `started` is called when clients can connect,
 * with each address they can use, HTTP's last.
 */
int server_run(const struct server_options *options, const struct sites *sites,
	       void (*started)(const char *url), struct mn_error *e);
