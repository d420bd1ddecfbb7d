#include "host/rate.h"

#include <stdlib.h>

#include "base/clock.h"

int64_t rate_book(struct rate *r, uint64_t bps, int64_t bytes, int64_t now_ns, int64_t slack_ns)
{
	const int64_t earliest = now_ns - slack_ns;
	const int64_t takes = (int64_t)((double)bytes * (double)NS_PER_S / (double)bps);
	int64_t due = atomic_load_explicit(&r->due_ns, memory_order_relaxed), from;

	do {
		from = due > earliest ? due : earliest;
	} while (!atomic_compare_exchange_weak_explicit(
		&r->due_ns, &due, from + takes, memory_order_relaxed, memory_order_relaxed));
	return from;
}

int rates_init(struct rates *rates)
{
	for (int i = 0; i < RATES_CHAINS; i++)
		list_init(&rates->chain[i]);
	return -pthread_mutex_init(&rates->lock, NULL);
}

void rates_fini(struct rates *rates)
{
	pthread_mutex_destroy(&rates->lock);
}

static struct file_rate *find(struct list *chain, dev_t dev, ino_t ino)
{
	for (struct list *l = chain->next; l != chain; l = l->next) {
		struct file_rate *r = list_entry(l, struct file_rate, link);

		if (r->ino == ino && r->dev == dev)
			return r;
	}
	return NULL;
}

static struct file_rate *make(struct rates *rates, struct list *chain, dev_t dev, ino_t ino)
{
	struct file_rate *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->rates = rates;
	r->dev = dev;
	r->ino = ino;
	list_init(&r->link);
	list_append(chain, &r->link);
	return r;
}

struct file_rate *rates_get(struct rates *rates, dev_t dev, ino_t ino)
{
	struct list *chain = &rates->chain[(ino ^ dev) % RATES_CHAINS];
	struct file_rate *r;

	pthread_mutex_lock(&rates->lock);
	r = find(chain, dev, ino);
	if (!r)
		r = make(rates, chain, dev, ino);
	if (r)
		r->refs++;
	pthread_mutex_unlock(&rates->lock);
	return r;
}

void rates_put(struct file_rate *r)
{
	struct rates *rates = r->rates;

	pthread_mutex_lock(&rates->lock);
	if (--r->refs == 0) {
		list_remove(&r->link);
		free(r);
	}
	pthread_mutex_unlock(&rates->lock);
}
