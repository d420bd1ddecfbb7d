/*
 * The streams of this host, by the sockets that they have in the run-time folder (space/link.h).
 *
 * They are looked for once a period, and asked at each look. A stream is a process of ours, but is
 * read as if it were not: what is too long or not understood is passed over, and one that does not
 * answer is left alone for a while. Nothing is allocated after the start.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "control/connections.h"
#include "control/folder.h"
#include "space/link.h"

#define STREAMS_MAX	 16
#define STREAMS_WAIT_NS	 2000000000LL
#define STREAMS_RETRY_NS 10000000000LL

struct streams;

/* What one stream says of one of our spaces. */
struct stream_row {
	bool known, told; /* told: in the answer that is coming in */
	uint64_t sent_bytes, released_bytes;
	uint64_t clients, backlog_bytes;
	uint64_t idle;	   /* of the clients, those that would take no more if they were sent it */
	uint64_t lent_bps; /* that we lent it; 0: nothing */
};

struct stream_link {
	struct watch watch; /* fd -1: not connected */
	struct streams *streams;
	char name[LINK_NAME_MAX]; /* of its socket; "": none */
	bool present;		  /* still there, at the last look into the folder */
	bool waiting, warned;
	unsigned int ahead; /* answers that come before the one that is waited for */
	int64_t asked_ns, retry_ns;
	struct link_stream stream;
	struct stream_row *row; /* of each space */
	struct connections connections;
	char text[4 * LINK_LINE_MAX];
	size_t size;
};

/* Since the last answer. */
struct stream_news {
	uint64_t sent_bytes, released_bytes;
};

struct streams {
	struct loop *loop;
	const char *runtime_dir;
	size_t nspaces;
	bool full; /* told once */
	bool dry_run;
	struct stream_link link[STREAMS_MAX];
	struct stream_row *rows;
	/* The number of a space, or nspaces. */
	size_t (*find)(void *cookie, const struct space_name *name);
	/* A stream has told of that space; `news` NULL: it does so no more. */
	void (*told)(void *cookie, size_t space, const struct stream_news *news);
	/* One is waited for no longer: it has answered, or failed. */
	void (*done)(void *cookie);
	void *cookie; /* theirs */
};

/* runtime_dir must outlive it. 0 or -ENOMEM. A dry run removes nothing and lends nothing. */
int streams_open(struct streams *streams, struct loop *loop, const char *runtime_dir,
		 size_t nspaces, bool dry_run);
void streams_close(struct streams *streams);

/* Once a period: connects to those that have come, forgets those that have gone. */
void streams_find(struct streams *streams, struct folder_reader *reader);

/* Once a period: their TCP connections. */
void streams_look(struct streams *streams);

/* Asks all; streams_waiting() is whether an answer is still to come. */
void streams_ask(struct streams *streams);
bool streams_waiting(const struct streams *streams);

/* What all of them say of a space together; its `known` is whether any does. */
struct stream_row streams_sum(const struct streams *streams, size_t space);

/* Lends the space's rate to those that serve it, or takes it back (0). */
void streams_lend(struct streams *streams, size_t space, const struct space_name *name,
		  uint64_t bps, uint64_t lease_ms);

/* The limits of those that serve the space: of all clients together, and of one; 0: none. */
double streams_limit(const struct streams *streams, size_t space);
double streams_client_limit(const struct streams *streams, size_t space);

/* One that serves on this port. */
bool streams_serve(const struct streams *streams, uint16_t port);
