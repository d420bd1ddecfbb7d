/*
 * Whose turn it is: an object is taken from the queue, handed to the way that the peer is reached
 * by (TCP, datagrams, …), and what that says of it decides what comes next.
 *
 * Theory of operation. One object at a time. A way is begun with it, called again whenever
 * something may have changed, and ends with one of push_succeed(), push_fail(), push_refuse() and
 * push_redo();
 * after these the object is not there any more. All else (order, back-off, release) is the same for
 * every way.
 */
#pragma once

#include "base/loop.h"
#include "host/controller.h"
#include "host/follow.h"
#include "host/object.h"
#include "host/push.h"
#include "host/push_queue.h"
#include "host/release.h"

struct push_way {
	/* Sends the object. */
	void (*begin)(struct push_way *way);
	/* It has changed, or it is just time to look. Nothing is under way if there is none. */
	void (*proceed)(struct push_way *way);
	/* push->timer, which push_deadline() has set. */
	void (*expired)(struct push_way *way);
	/* Leaves the peer, for the next object to begin from nothing. */
	void (*hang_up)(struct push_way *way);
	/* Nothing more comes: says so to the peer, closes and frees all. */
	void (*close)(struct push_way *way);
};

struct push {
	const struct push_options *options;
	struct push_way *way;
	struct loop loop;
	struct sites sites;
	struct site *site;
	struct store store;
	struct follow follow;
	struct release release;
	struct limits limits;
	struct controller_socket socket;
	struct controller controller;
	struct push_queue queue;
	struct timer timer, drain_timer;
	bool draining, stirred;
	bool settling; /* the timer runs until the first of the queue may be taken */

	struct push_entry *entry;
	struct object *object; /* NULL: none is under way */
	int64_t at;	       /* so far it has been sent */
	struct reader reader;

	unsigned failures;    /* in a row */
	unsigned unreachable; /* of these, without a word of the peer */
	unsigned long delivered, given_up;
};

/* Does what can be done now, whatever woke us. */
void push_proceed(struct push *p);
/* The same, in a turn of its own. */
void push_stir(struct push *p);

/* ---- for the ways ---- */

/* Calls way->expired then, unless it is set anew. */
void push_deadline(struct push *p, int64_t after_ns);
void push_no_deadline(struct push *p);

/* Whether the object's size or time is another one than when it was looked at. */
bool push_written_since(const struct push *p);

/* The peer has it all. */
void push_succeed(struct push *p);
/* It is tried again later. `answered`: it is about this object, the peer is there. */
void push_fail(struct push *p, const char *why, bool answered);
/* It never can be sent as it is, and stays. */
void push_refuse(struct push *p, const char *why);
/* It is tried again at once, and nothing was wrong. */
void push_redo(struct push *p);

/* Puts back the object, if there is one. */
void push_leave(struct push *p);
/* The timer of p->timer. */
void push_expired(struct timer *t);
