#include "base/acceptor.h"

#include <errno.h>

static void listen_again(struct timer *t)
{
	struct acceptor *a = container_of(t, struct acceptor, rest);

	if (loop_add(a->loop, &a->watch, a->events) < 0)
		loop_timer_set(a->loop, t, a->loop->now_ns + ACCEPTOR_REST_NS);
}

int acceptor_start(struct acceptor *a, struct loop *loop, int fd, uint32_t events,
		   void (*ready)(struct watch *w, uint32_t events))
{
	*a = (struct acceptor){
		.watch = {fd, ready}, .loop = loop, .events = events, .rest.fire = listen_again};
	return loop_add(loop, &a->watch, events);
}

void acceptor_stop(struct acceptor *a)
{
	if (!a->loop)
		return;
	loop_remove(a->loop, &a->watch);
	loop_timer_clear(a->loop, &a->rest);
	a->loop = NULL;
}

bool acceptor_full(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

int acceptor_take(struct acceptor *a, struct sockaddr *peer, socklen_t *size)
{
	const int fd = accept4(a->watch.fd, peer, size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	const int err = fd < 0 ? -errno : 0;

	if (acceptor_full(err) &&
	    loop_timer_set(a->loop, &a->rest, a->loop->now_ns + ACCEPTOR_REST_NS) == 0)
		loop_remove(a->loop, &a->watch);
	return err ? err : fd;
}
