/* A recording that was damaged: refused with its line, whatever its numbers are. */
#include "control/recording.h"

#include "tests/scratch.h"
#include "tests/tap.h"

#define HEAD                                                                                       \
	"memnet-recording 1\n"                                                                     \
	"tuning 2000000000 200000000 0 0.02 0.85 30000000000 4 8000000 1.25 120000000000 "         \
	"30000000000 15000000000\n"                                                                \
	"space web1/out 67108864 1073741824 1 8000000000 0.95 0\n"
#define FACTS "f 0 134217728 1000 0 0 0 1 1 1000 1000000 0 1 0 0.5 60000000 8000000\n"

/* How many looks there are until the end, or -1 for an error, with *e. */
static int looks(const char *text, struct mn_error *e)
{
	struct recording_reader reader;
	int dir = scratch_open(), n = 0, more;
	char path[300];

	scratch_file(dir, "recording", text, strlen(text));
	close(dir);
	snprintf(path, sizeof(path), "%s/recording", scratch_path);
	more = recording_begin(&reader, path, e) ? -1 : 1;
	while (more > 0 && (more = recording_next(&reader, e)) > 0)
		n++;
	recording_end(&reader);
	return more < 0 ? -1 : n;
}

static void damaged(const char *text, unsigned int line)
{
	struct mn_error e = MN_ERROR_INIT;
	char words[32];

	snprintf(words, sizeof(words), "line %u is not", line);
	is_int(looks(text, &e), -1, "refused");
	ok(strstr(e.text, words) != NULL, "says that %s: %s", words, e.text);
}

int main(void)
{
	struct mn_error e = MN_ERROR_INIT;

	is_int(looks(HEAD "t 1000\n" FACTS "r 0 900 800 10 5 0\nt 2000\n", &e), 2, "two looks");
	is_int(looks(HEAD "t 1000\n" FACTS "r 0 900 80", &e), 0, "cut off: what was whole");
	damaged("memnet-recording 2\n", 1);
	damaged(HEAD "t x\n", 4);
	damaged(HEAD "t 9223372036854775807\n", 4);
	damaged(HEAD "t 2000\nt 1000\n", 5);
	damaged(HEAD "t 1000\nf 1 2 3\nt 2000\n", 5);
	damaged(HEAD "t 1000\n" FACTS "r 0 -9223372036854775808 0 0 5 0\nt 2000\n", 6);
	damaged(HEAD "t 1000\n" FACTS "r 0 0 9223372036854775807 0 5 0\nt 2000\n", 6);
	damaged(HEAD "t 1000\n" FACTS "r 0 0 0 -9223372036854775808 5 0\nt 2000\n", 6);
	damaged(HEAD "t 1000\n" FACTS "r 0 0 0 0 5 -9223372036854775808\nt 2000\n", 6);
	damaged(HEAD "t 1000\n" FACTS "r 1 0 0 0 5 0\nt 2000\n", 6);
	return done_testing();
}
