/* ffmpeg's -progress: what is taken, in any pieces, and what is not. */
#include "guest/progress.h"

#include <string.h>

#include "tests/tap.h"

static const char block[] = "frame=100\nfps=25.00\nstream_0_0_q=31.0\nbitrate= 512.0kbits/s\n"
			    "total_size=256056\nout_time_us=3920011\nout_time=00:00:03.92\n"
			    "dup_frames=0\nspeed=12.1x\nprogress=end\n";

static void feed(struct progress *p, const char *text)
{
	progress_feed(p, text, strlen(text));
}

static void pieces(void)
{
	for (size_t piece = 1; piece < sizeof(block); piece += 7) {
		struct progress p = {0};

		for (size_t at = 0; at < strlen(block); at += piece) {
			size_t left = strlen(block) - at;

			progress_feed(&p, block + at, left < piece ? left : piece);
		}
		ok(p.frames == 100 && p.bytes == 256056 && p.out_time_us == 3920011 &&
			   p.speed > 12 && p.speed < 12.2 && p.ended && p.blocks == 1,
		   "a block in pieces of %zu", piece);
	}
}

static void nonsense(void)
{
	struct progress p = {.frames = 5, .bytes = 6, .out_time_us = 7, .speed = 8};
	char longest[300];

	feed(&p, "frame=-1\nframe=\nframe=12x\nframe=99999999999999999999\nframe="
		 "9007199254740993\nframe\n=\n\n");
	feed(&p, "total_size=N/A\nout_time_us=N/A\nspeed=N/A\nspeed=-1x\nspeed=1e9x\nspeed=nanx\n");
	memset(longest, 'a', sizeof(longest));
	progress_feed(&p, longest, sizeof(longest));
	feed(&p, "\nframe");
	progress_feed(&p, "\0", 1);
	feed(&p, "=3\n");
	ok(p.frames == 5 && p.bytes == 6 && p.out_time_us == 7 && p.speed == 8, "changes nothing");
	feed(&p, "frame=  42\r\nprogress=continue\n");
	is_int(p.frames, 42, "and the next line counts again");
	is_int(p.ended, false, "this is not the end");
}

int main(void)
{
	pieces();
	nonsense();
	return done_testing();
}
