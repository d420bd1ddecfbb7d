/* What one thread of the server owns. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/acceptor.h"
#include "base/clock.h"
#include "base/loop.h"
#include "host/access_log.h"
#include "host/controller.h"
#include "host/http_request.h"
#include "host/http_range.h"
#include "host/object.h"
#include "host/sender.h"
#include "host/server.h"
#include "host/follow.h"
#include "host/metrics.h"
#include "host/rtsp.h"

/* Objects up to this size go out with their head in one send(2), copied; larger ones by
 * sendfile(2). */
#define SMALL_OBJECT_MAX (16 * 1024)

/* The wheel goes round in 640 ms. */
#define PACER_TICK_NS (10 * NS_PER_MS)
#define PACER_SLOTS   64

/* Room for a response's head. */
#define RESPONSE_HEAD_MAX 1024

struct worker {
	struct loop loop;
	struct server *server;
	struct sites sites;
	struct store store;
	struct follow follow;
	struct sender sender;
	struct acceptor listener, metrics_listener;
	struct rtsp rtsp; /* the first worker's, as */
	struct controller controller;
	pthread_t thread;
	bool draining;

	struct list conns;     /* all */
	struct list runnable;  /* have had their share of this turn and could go on */
	struct list unpacking; /* wait for their turn to decompress */
	struct list acking;    /* wait for their client's TCP to acknowledge */
	struct list spare;     /* connections not in use */
	struct conn *unpacks;  /* whose turn it is */
	int64_t unpack_memory; /* that decompressing takes now, at most */
	int64_t saved;	       /* bytes of output that sockets would not take yet */
	unsigned conn_count;
	int64_t full_ns; /* when it was last said that there are no descriptors left */
	struct timer ack_timer, expire_timer, drain_timer, sweep_timer, survey_timer;
	struct list wheel[PACER_SLOTS]; /* wait for the time when they may send: host/pacer.h */
	int64_t tick;			/* the last one that was served */
	struct timer wheel_timer;
	struct counters counters;
	struct access_lines lines;

	int64_t date_s; /* what `date` says */
	char date[HTTP_DATE_MAX];
	struct http_request request;
	char in[HTTP_HEAD_MAX + 1];
	char out[RESPONSE_HEAD_MAX + SMALL_OBJECT_MAX];
};

/* 0 or -errno; worker_fini() takes a half-made one, and one that was all zeroes. */
int worker_init(struct worker *w, struct server *server, const struct sites *sites);
void worker_fini(struct worker *w);

/* Takes connections for /metrics, too, from this socket. 0 or -errno. */
int worker_serve_metrics(struct worker *w, int listenfd);

/* Says that clients wait, as accept(2) has failed with -err; not each time. */
void worker_full(struct worker *w, int err);

/* Begins to remove what is old or too much, as the options say: one worker does. */
void worker_sweep(struct worker *w);

/* Serves until it has been woken (loop_wake()) and its connections are done. */
void worker_run(struct worker *w);
