#include "guest/beat.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "space/live.h"

static void *beat_run(void *arg)
{
	struct beat *b = arg;
	struct timespec at;

	pthread_mutex_lock(&b->lock);
	clock_gettime(CLOCK_MONOTONIC, &at);
	while (!b->ending) {
		at.tv_nsec += LIVE_BEAT_NS / 2;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&b->end, &b->lock, &at) == ETIMEDOUT)
			live_beat(b->markerfd);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

int beat_start(struct beat *b, int markerfd)
{
	pthread_condattr_t attributes;
	sigset_t all, old;
	int err;

	b->markerfd = markerfd;
	b->ending = false;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&b->end, &attributes);
	/* Signals are for the thread that works. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&b->thread, NULL, beat_run, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	b->running = err == 0;
	return -err;
}

void beat_stop(struct beat *b)
{
	if (!b->running)
		return;
	pthread_mutex_lock(&b->lock);
	b->ending = true;
	pthread_cond_signal(&b->end);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	b->running = false;
}
