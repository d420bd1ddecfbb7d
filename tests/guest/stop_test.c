/* A request to stop: seen once made, interrupting what waits, and never for what is ignored. */
#include "guest/stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>

#include "tests/tap.h"

int main(void)
{
	struct itimerval soon = {.it_value = {.tv_usec = 10000}, .it_interval = {.tv_usec = 10000}};

	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_DFL); /* which a shell ignores for what it runs in the background */
	stop_install();
	is_int(stop_check(), 0, "nobody asked");
	raise(SIGHUP);
	is_int(stop_check(), 0, "what nohup(1) made ignored stays so");
	raise(SIGTERM);
	is_int(stop_check(), -EINTR, "TERM asks");
	is_int(stop_signal(), SIGTERM, "by its number");
	raise(SIGINT);
	is_int(stop_signal(), SIGINT, "the last one counts");

	/* The handlers are without SA_RESTART: a wait ends. Again and again, should one come early.
	 */
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	struct sigaction handler;

	sigaction(SIGTERM, NULL, &handler);
	sigaction(SIGALRM, &handler, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	is_int(poll(NULL, 0, 10000), -1, "what waits is interrupted");
	is_int(errno, EINTR, "and says so");
	return done_testing();
}
