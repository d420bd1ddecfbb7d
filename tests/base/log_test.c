/* Messages: one line and one write each, whatever is in them. */
#include "base/log.h"

#include <sys/socket.h>
#include <unistd.h>

#include "tests/tap.h"

static int reader, real_stderr;

/* stderr becomes a socket that keeps each write(2) apart. */
static void catch_stderr(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return;
	reader = pair[0];
	real_stderr = dup(STDERR_FILENO);
	dup2(pair[1], STDERR_FILENO);
	close(pair[1]);
}

static void release_stderr(void)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
}

/* What the next write had; "" if there was none. */
static const char *next_write(void)
{
	static char text[4096];
	ssize_t n = recv(reader, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

#define LOGGED(call, want, ...)                                                                    \
	do {                                                                                       \
		char got_[4096];                                                                   \
		catch_stderr();                                                                    \
		call;                                                                              \
		release_stderr();                                                                  \
		snprintf(got_, sizeof(got_), "%s", next_write());                                  \
		is_str(got_, want, __VA_ARGS__);                                                   \
		is_str(next_write(), "", "in one write");                                          \
		close(reader);                                                                     \
	} while (0)

static void lines(void)
{
	char prefix[] = "memnet stream";

	log_setup(prefix, LOG_NORMAL);
	prefix[0] = 'X';
	LOGGED(log_error("%s: %d", "web1", 5), "memnet stream: web1: 5\n",
	       "prefix, text, line feed");
	LOGGED(log_warn("a\nmemnet stream: forged"), "memnet stream: a?memnet stream: forged\n",
	       "a line feed forges no line");
	LOGGED(log_info("\033[2J\t\r\177"), "memnet stream: ?[2J???\n", "no control character");
	LOGGED(log_info("caf\xc3\xa9 \xc2\x9b"
			"2J \xc2\xa0"),
	       "memnet stream: caf\xc3\xa9 ??2J \xc2\xa0\n", "nor a C1 one; other UTF-8 stays");
	LOGGED(log_info("cut \xc2"), "memnet stream: cut \xc2\n", "half a character is no trap");
}

static void levels(void)
{
	log_setup("memnet", LOG_QUIET);
	ok(!log_verbose(), "quiet is not verbose");
	LOGGED(log_error("e"), "memnet: e\n", "errors even when quiet");
	LOGGED(log_warn("w"), "", "no warnings when quiet");
	LOGGED(log_info("i"), "", "no information when quiet");
	log_setup("memnet", LOG_NORMAL);
	LOGGED(log_warn("w"), "memnet: w\n", "warnings as a rule");
	LOGGED(log_debug("d"), "", "details only on demand");
	log_setup("memnet", LOG_VERBOSE);
	ok(log_verbose(), "verbose is");
	LOGGED(log_debug("d"), "memnet: d\n", "details when verbose");
}

static void too_long(void)
{
	static char text[3000];
	const char *got;

	memset(text, 'x', sizeof(text) - 1);
	catch_stderr();
	log_error("%s", text);
	release_stderr();
	got = next_write();
	ok(strlen(got) > 500 && strlen(got) < 1024, "a long line is cut");
	ok(strlen(got) > 0 && got[strlen(got) - 1] == '\n', "and is still a line");
	close(reader);
}

int main(void)
{
	lines();
	levels();
	too_long();
	return done_testing();
}
