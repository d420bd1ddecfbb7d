#include "base/loop.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"

/* ---- timers: a binary heap from slot 1, the earliest on top ---- */

static void heap_put(struct loop *loop, size_t slot, struct timer *t)
{
	loop->heap[slot] = t;
	t->slot = slot;
}

static void heap_up(struct loop *loop, size_t slot, struct timer *t)
{
	for (; slot > 1 && loop->heap[slot / 2]->at_ns > t->at_ns; slot /= 2)
		heap_put(loop, slot, loop->heap[slot / 2]);
	heap_put(loop, slot, t);
}

static void heap_down(struct loop *loop, size_t slot, struct timer *t)
{
	for (;;) {
		size_t child = 2 * slot;

		if (child < loop->timers && loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
			child++;
		if (child > loop->timers || loop->heap[child]->at_ns >= t->at_ns)
			break;
		heap_put(loop, slot, loop->heap[child]);
		slot = child;
	}
	heap_put(loop, slot, t);
}

static int heap_grow(struct loop *loop)
{
	size_t room = loop->room ? 2 * loop->room : 64;
	struct timer **heap = realloc(loop->heap, room * sizeof(struct timer *));

	if (!heap)
		return -ENOMEM;
	loop->heap = heap;
	loop->room = room;
	return 0;
}

int loop_timer_set(struct loop *loop, struct timer *t, int64_t at_ns)
{
	int64_t old = t->at_ns;

	if (!t->slot && loop->timers + 1 >= loop->room && heap_grow(loop))
		return -ENOMEM;
	t->at_ns = at_ns;
	if (!t->slot)
		heap_up(loop, ++loop->timers, t);
	else if (at_ns < old)
		heap_up(loop, t->slot, t);
	else
		heap_down(loop, t->slot, t);
	return 0;
}

void loop_timer_clear(struct loop *loop, struct timer *t)
{
	size_t slot = t->slot;
	struct timer *last;

	if (!slot)
		return;
	t->slot = 0;
	last = loop->heap[loop->timers--];
	if (last == t)
		return;
	if (slot > 1 && loop->heap[slot / 2]->at_ns > last->at_ns)
		heap_up(loop, slot, last);
	else
		heap_down(loop, slot, last);
}

static void fire_timers(struct loop *loop)
{
	/* At most one round: a timer that sets itself to "now" cannot keep descriptors waiting. */
	for (size_t round = loop->timers; round > 0 && loop->timers > 0; round--) {
		struct timer *t = loop->heap[1];

		if (t->at_ns > loop->now_ns || loop->stopped)
			return;
		loop_timer_clear(loop, t);
		t->fire(t);
	}
}

/* Milliseconds until the next timer, rounded up so that it is due by then. */
static int wait_ms(const struct loop *loop)
{
	int64_t left;

	if (loop->again)
		return 0;
	if (loop->timers == 0)
		return -1;
	left = loop->heap[1]->at_ns - clock_ns();
	if (left <= 0)
		return 0;
	left = (left + NS_PER_MS - 1) / NS_PER_MS;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* ---- descriptors ---- */

static int control(struct loop *loop, int op, struct watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	return epoll_ctl(loop->epfd, op, w->fd, &ev) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, struct watch *w, uint32_t events)
{
	return control(loop, EPOLL_CTL_ADD, w, events);
}

int loop_change(struct loop *loop, struct watch *w, uint32_t events)
{
	return control(loop, EPOLL_CTL_MOD, w, events);
}

void loop_remove(struct loop *loop, struct watch *w)
{
	if (w->fd >= 0)
		control(loop, EPOLL_CTL_DEL, w, 0);
	for (int i = loop->handled; i < loop->fetched; i++) {
		if (loop->batch[i].data.ptr == w)
			loop->batch[i].data.ptr = NULL;
	}
}

/* ---- signals, and the other threads' word ---- */

static void signals_ready(struct watch *w, uint32_t events)
{
	struct loop *loop = container_of(w, struct loop, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(w->fd, &info, sizeof(info)) == sizeof(info))
		loop->on_signal(loop, (int)info.ssi_signo);
}

int loop_signals(struct loop *loop, const int *signals,
		 void (*on_signal)(struct loop *loop, int signo))
{
	sigset_t set;

	sigemptyset(&set);
	for (; *signals; signals++)
		sigaddset(&set, *signals);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	loop->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signals.fd < 0)
		return -errno;
	loop->signals.ready = signals_ready;
	loop->on_signal = on_signal;
	return loop_add(loop, &loop->signals, EPOLLIN);
}

static void wake_ready(struct watch *w, uint32_t events)
{
	struct loop *loop = container_of(w, struct loop, wake);
	uint64_t count;

	(void)events;
	if (read(w->fd, &count, sizeof(count)) == sizeof(count) && loop->on_wake)
		loop->on_wake(loop);
}

void loop_wake(struct loop *loop)
{
	const uint64_t one = 1;

	/* The only way to fail is a full counter, which wakes as well. */
	if (write(loop->wake.fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- the loop ---- */

int loop_init(struct loop *loop)
{
	*loop = (struct loop){.epfd = epoll_create1(EPOLL_CLOEXEC)};
	loop->signals.fd = -1;
	loop->wake = (struct watch){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), wake_ready};
	loop->now_ns = clock_ns();
	if (loop->epfd < 0 || loop->wake.fd < 0)
		return -errno;
	return loop_add(loop, &loop->wake, EPOLLIN);
}

static void close_fd(int fd)
{
	if (fd > 0)
		close(fd);
}

void loop_fini(struct loop *loop)
{
	close_fd(loop->wake.fd);
	close_fd(loop->signals.fd);
	close_fd(loop->epfd);
	free(loop->heap);
	*loop = (struct loop){0};
}

static void dispatch(struct loop *loop)
{
	for (loop->handled = 0; loop->handled < loop->fetched && !loop->stopped;) {
		const struct epoll_event *ev = &loop->batch[loop->handled++];
		struct watch *w = ev->data.ptr;

		if (w)
			w->ready(w, ev->events);
	}
}

int loop_run(struct loop *loop)
{
	while (!loop->stopped) {
		int ms = wait_ms(loop);

		loop->again = false;
		loop->fetched = epoll_wait(loop->epfd, loop->batch, LOOP_BATCH, ms);
		if (loop->fetched < 0 && errno != EINTR)
			return -errno;
		loop->now_ns = clock_ns();
		dispatch(loop);
		loop->handled = loop->fetched = 0;
		fire_timers(loop);
		if (loop->after && !loop->stopped)
			loop->after(loop);
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
