/*
 * The beat of a live object: a thread that writes its marker anew (space/live.h), because one call
 * into zstd can take longer than the reader's patience: a piece of 32 MB at level 19 is a minute's
 * work for a slow vCPU.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct beat {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t end;
	int markerfd;
	bool running;
	bool ending;
};

/* Beats on `markerfd` until beat_stop(), which comes before the descriptor is closed. 0 or -errno.
 */
int beat_start(struct beat *b, int markerfd);
void beat_stop(struct beat *b);
