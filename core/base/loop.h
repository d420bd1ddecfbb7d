/*
 * The event loop: descriptors, timers and signals of one thread.
 *
 * Theory of operation. A watch and a timer are embedded in what they belong to, and the owner is
 * found from them by container_of(): nothing is allocated per event. Everything is called from
 * loop_run() and may add and remove any watch or timer, its own included; an event already fetched
 * for a watch that has been removed meanwhile is dropped. Timers are a binary heap: the next one is
 * epoll_wait(2)'s timeout. A timer that is only ever pushed back (an idle limit, moved by each
 * byte) is best left where it is; when it fires, its owner looks at the true deadline and sets it
 * anew. All of a loop is used by one thread; only loop_wake() may be called from another one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

struct watch {
	int fd;
	void (*ready)(struct watch *w, uint32_t events); /* EPOLL… */
};

struct timer {
	int64_t at_ns; /* of clock_ns() */
	size_t slot;   /* in the heap, from 1; 0: not set */
	void (*fire)(struct timer *t);
};

#define LOOP_BATCH 128

struct loop {
	int epfd;
	bool stopped;
	int64_t now_ns; /* clock_ns() when the present batch was fetched */
	struct timer **heap;
	size_t timers, room;
	struct epoll_event batch[LOOP_BATCH];
	int fetched, handled;
	struct watch wake, signals;
	void (*on_signal)(struct loop *loop, int signo);
	void (*on_wake)(struct loop *loop);
	void (*after)(struct loop *loop); /* after each batch; see loop_again() */
	bool again;
};

/* 0 or -errno. loop_fini() takes a loop that was all zeroes, too; it closes no watch of others. */
int loop_init(struct loop *loop);
void loop_fini(struct loop *loop);

/* Starts to report `events` (EPOLLIN, EPOLLET, …) of w->fd. 0 or -errno. */
int loop_add(struct loop *loop, struct watch *w, uint32_t events);
int loop_change(struct loop *loop, struct watch *w, uint32_t events);
/* Before w->fd is closed. Harmless for a watch that is not in. */
void loop_remove(struct loop *loop, struct watch *w);

/* Sets the timer, wherever it was; -ENOMEM. loop_timer_clear() is harmless for one not set. */
int loop_timer_set(struct loop *loop, struct timer *t, int64_t at_ns);
void loop_timer_clear(struct loop *loop, struct timer *t);

/* Blocks the signals of the 0-terminated list and hands each to `on_signal`. 0 or -errno. */
int loop_signals(struct loop *loop, const int *signals,
		 void (*on_signal)(struct loop *loop, int signo));

/* Any thread: has `on_wake` called, once or more. */
void loop_wake(struct loop *loop);

/* The next wait is none at all: there is work left for `after`. */
static inline void loop_again(struct loop *loop)
{
	loop->again = true;
}

/* Until loop_stop(). 0 or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
