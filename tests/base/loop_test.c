/* The event loop: timers in order, watches removed under its feet, signals, other threads. */
#include "base/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/tap.h"

static struct loop loop;
static char trace[256];

static void mark(char c)
{
	const size_t len = strlen(trace);

	if (len + 1 < sizeof(trace))
		trace[len] = c;
}

static void clear(void)
{
	memset(trace, 0, sizeof(trace));
	loop.stopped = false;
}

/* ---- timers ---- */

struct named {
	struct timer timer;
	char name;
};

static void fire_named(struct timer *t)
{
	mark(container_of(t, struct named, timer)->name);
}

static void fire_stop(struct timer *t)
{
	(void)t;
	loop_stop(&loop);
}

static struct timer stop = {.fire = fire_stop};

static void run_for(int64_t ns)
{
	loop_timer_set(&loop, &stop, clock_ns() + ns);
	loop_run(&loop);
	loop_timer_clear(&loop, &stop);
}

static void test_order(void)
{
	struct named t[5];
	const int64_t now = clock_ns();

	clear();
	for (int i = 0; i < 5; i++)
		t[i] = (struct named){{.fire = fire_named}, (char)('a' + i)};
	loop_timer_set(&loop, &t[3].timer, now + 4 * NS_PER_MS);
	loop_timer_set(&loop, &t[0].timer, now + 1 * NS_PER_MS);
	loop_timer_set(&loop, &t[4].timer, now + 5 * NS_PER_MS);
	loop_timer_set(&loop, &t[1].timer, now + 9 * NS_PER_MS);
	loop_timer_set(&loop, &t[1].timer, now + 2 * NS_PER_MS); /* moved forward */
	loop_timer_set(&loop, &t[2].timer, now + 1 * NS_PER_MS);
	loop_timer_set(&loop, &t[2].timer, now + 3 * NS_PER_MS); /* moved back */
	loop_timer_clear(&loop, &t[4].timer);
	loop_timer_clear(&loop, &t[4].timer);
	run_for(20 * NS_PER_MS);
	is_str(trace, "abcd", "timers fire in the order of their times, once, a cleared one never");
}

/* What a heap gets wrong shows with many. */
static struct timer many[2000];
static int64_t last_ns;
static int fired, disorder;

static void fire_many(struct timer *t)
{
	disorder += t->at_ns < last_ns;
	last_ns = t->at_ns;
	if (++fired == 1000)
		loop_stop(&loop);
}

static void test_many(void)
{
	const int64_t past = clock_ns() - NS_PER_S;

	clear();
	srand(1);
	for (int i = 0; i < 2000; i++) {
		many[i].fire = fire_many;
		loop_timer_set(&loop, &many[i], past + rand() % 100000);
	}
	for (int i = 0; i < 2000; i += 2)
		loop_timer_clear(&loop, &many[i]);
	loop_run(&loop);
	is_int(fired, 1000, "all of 2000 that half were cleared of have fired");
	is_int(disorder, 0, "and in order");
	is_int((intmax_t)loop.timers, 0, "none is left");
}

static int again;

static void fire_again(struct timer *t)
{
	if (++again == 2)
		loop_timer_set(&loop, &stop, loop.now_ns);
	loop_timer_set(&loop, t, loop.now_ns);
}

static void test_again(void)
{
	struct timer t = {.fire = fire_again};

	clear();
	alarm(60); /* not for ever, if the other timer has no turn */
	loop_timer_set(&loop, &t, clock_ns());
	loop_run(&loop);
	alarm(0);
	loop_timer_clear(&loop, &t);
	ok(again > 1, "a timer that sets itself to now keeps nobody else from their turn");
}

/* ---- watches ---- */

struct end {
	struct watch watch;
	struct watch *victim;
};

static void ready_kill(struct watch *w, uint32_t events)
{
	struct end *e = container_of(w, struct end, watch);

	(void)events;
	mark('k');
	loop_remove(&loop, e->victim);
	loop_remove(&loop, w);
}

static void test_removed(void)
{
	struct end a = {.watch = {.ready = ready_kill}}, b = {.watch = {.ready = ready_kill}};
	int fds[2], others[2];

	clear();
	ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 &&
		   socketpair(AF_UNIX, SOCK_STREAM, 0, others) == 0,
	   "sockets");
	a.watch.fd = fds[0];
	b.watch.fd = others[0];
	a.victim = &b.watch;
	b.victim = &a.watch;
	loop_add(&loop, &a.watch, EPOLLIN);
	loop_add(&loop, &b.watch, EPOLLIN);
	ok(write(fds[1], "x", 1) == 1 && write(others[1], "x", 1) == 1, "both become ready");
	run_for(5 * NS_PER_MS);
	is_str(trace, "k", "a watch removed by another's handler is not called, though fetched");
	close(fds[0]), close(fds[1]), close(others[0]), close(others[1]);
}

/* ---- signals and threads ---- */

static void on_signal(struct loop *l, int signo)
{
	mark(signo == SIGUSR1 ? 's' : '?');
	loop_stop(l);
}

static void on_wake(struct loop *l)
{
	mark('w');
	loop_stop(l);
}

static void *wake(void *arg)
{
	loop_wake(arg);
	return NULL;
}

static void test_outside(void)
{
	static const int signals[] = {SIGUSR1, 0};
	pthread_t thread;

	clear();
	is_int(loop_signals(&loop, signals, on_signal), 0, "signals are taken");
	raise(SIGUSR1);
	loop_run(&loop);
	is_str(trace, "s", "and handed over");
	clear();
	loop.on_wake = on_wake;
	pthread_create(&thread, NULL, wake, &loop);
	loop_run(&loop);
	pthread_join(thread, NULL);
	is_str(trace, "w", "another thread wakes the loop");
}

int main(void)
{
	is_int(loop_init(&loop), 0, "a loop");
	test_order();
	test_many();
	test_again();
	test_removed();
	test_outside();
	loop_fini(&loop);
	loop_fini(&loop);
	return done_testing();
}
