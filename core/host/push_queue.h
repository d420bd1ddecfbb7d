/*
 * What is to be pushed, in the order it was published.
 *
 * Theory of operation. inotify(7) says what becomes visible, in that order: a rename, a link, a
 * live object's creation. What was there before, or appeared while nobody could watch (the space
 * was not there, the kernel dropped events, too many folders), is found by a look at the whole
 * space and put in the order of its change times, which a rename sets. Each object is an entry, by
 * its path; a delivered one keeps its entry as long as its name, so that a look finds what is new:
 * another file, or the same one written to since.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/loop.h"
#include "host/site.h"

/* So many names are known at a time, and so many folders watched. */
#define PUSH_NAMES_MAX	 262144
#define PUSH_FOLDERS_MAX 1024
#define PUSH_CHAINS	 16384

struct push_entry {
	struct push_entry *next; /* of its chain */
	struct list pending;	 /* in the queue's, or in none: it has been delivered */
	dev_t dev;
	ino_t ino;
	int64_t size; /* -1: nothing of this name has been delivered */
	struct timespec written;
	unsigned tries;
	bool whole; /* it was renamed here, or its writer has closed it */
	bool seen;  /* by the look under way */
	char path[];
};

struct push_folder {
	int wd;
	char *path;
};

struct push_queue {
	struct watch watch;
	struct timer tick;
	struct loop *loop;
	struct site *site;
	const char *glob; /* NULL: all */
	struct push_entry **chain;
	struct push_entry *busy; /* is not forgotten now */
	size_t count;
	struct list pending;
	struct push_folder folder[PUSH_FOLDERS_MAX];
	unsigned folders;
	unsigned generation; /* the site's, when it was looked at */
	int64_t looked_ns;
	bool lost, full;
	void (*grew)(struct push_queue *q); /* something is pending */
};

/* Opens what is needed; with `watch`, what comes later is found, too. 0 or -errno. */
int push_queue_init(struct push_queue *q, struct loop *loop, struct site *site, const char *glob,
		    void (*grew)(struct push_queue *q), bool watch);
/* Looks for what is there. */
void push_queue_start(struct push_queue *q);
void push_queue_fini(struct push_queue *q);

/* The next one, or NULL. */
struct push_entry *push_queue_first(struct push_queue *q);

/*
 * Nothing is left to do with the entry's object as *st says it is: it has been delivered, or never
 * can be. What its name means by now may be due.
 */
void push_queue_done(struct push_queue *q, struct push_entry *entry, const struct stat *st);

/* Puts it behind the others. */
void push_queue_behind(struct push_queue *q, struct push_entry *entry);

/* There is nothing of that name any more. */
void push_queue_forget(struct push_queue *q, struct push_entry *entry);
