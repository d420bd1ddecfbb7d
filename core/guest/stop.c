#include "guest/stop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static volatile sig_atomic_t stop_asked;

static void stop_ask(int signal)
{
	stop_asked = signal;
}

void stop_install(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action, old;

	memset(&action, 0, sizeof(action));
	action.sa_handler = stop_ask;
	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		/* What nohup(1) and shells made ignored stays ignored. */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

int stop_signal(void)
{
	return stop_asked;
}

int stop_check(void)
{
	return stop_asked ? -EINTR : 0;
}
