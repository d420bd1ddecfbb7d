/* Encoding: pieces, pauses, several frames, and inputs that end or change too early. */
#include "guest/encode.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "space/layout.h"
#include "tests/scratch.h"
#include "tests/tap.h"

struct collected {
	char *data;
	size_t size, writes, small; /* writes of less than 128 KiB */
	int fail_at;		    /* the write that fails; 0: none */
	size_t enough;		    /* the write that `told` ends with; 0: none */
	int told[2];		    /* a pipe: whoever reads it learns of that */
};

static int collect(void *cookie, const void *data, size_t size)
{
	struct collected *c = cookie;

	c->writes++;
	c->small += size < 128 * 1024;
	if (c->enough && c->writes == c->enough)
		close(c->told[1]);
	if (c->fail_at && (int)c->writes == c->fail_at)
		return -ENOSPC;
	c->data = realloc(c->data, c->size + size);
	memcpy(c->data + c->size, data, size);
	c->size += size;
	return 0;
}

static struct sink sink_of(struct collected *c)
{
	return (struct sink){.write = collect, .cookie = c};
}

static int root;
static struct encoder *encoder;

static char *noise(size_t size)
{
	char *data = malloc(size);
	uint64_t x = 88172645463325252U;

	for (size_t i = 0; i < size; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		data[i] = (char)(x >> 32);
	}
	return data;
}

static int open_source(struct source *s, const void *data, size_t size)
{
	scratch_file(root, "input", data, size);
	return source_init(s, openat(root, "input", O_RDONLY));
}

static void round_trip(size_t size)
{
	struct collected frame = {0}, back = {0};
	struct encode_counts in = {0}, out = {0};
	struct sink to_frame = sink_of(&frame), to_back = sink_of(&back);
	char *data = noise(size);
	struct source s;

	open_source(&s, data, size);
	is_int(encode(encoder, &s, &to_frame, false, &in), 0, "%zu bytes", size);
	ok(in.in == size && in.out == frame.size, "are counted");
	ok(frame.small <= 1, "only the last write is small");
	close(s.fd);
	open_source(&s, frame.data, frame.size);
	is_int(decode(encoder, &s, &to_back, false, &out), 0, "and back");
	ok(back.size == size, "as many");
	is_mem(back.data, data, size, "the same");
	close(s.fd);
	free(data);
	free(frame.data);
	free(back.data);
}

static int decode_text(const char *text, size_t size)
{
	struct encode_counts counts = {0};
	struct source s;
	int err;

	open_source(&s, text, size);
	err = decode(encoder, &s, &null_sink, false, &counts);
	close(s.fd);
	return err;
}

static void bad_frames(void)
{
	struct collected frame = {0};
	struct encode_counts counts = {0};
	struct sink to = sink_of(&frame);
	char *data = noise(300000);
	struct source s;

	open_source(&s, data, 300000);
	encode(encoder, &s, &to, false, &counts);
	close(s.fd);
	is_int(decode_text("some text that is no frame", 26), -EBADMSG, "foreign bytes");
	is_int(decode_text(frame.data, 1000), -EPIPE, "a frame that ends early");
	is_int(decode_text(frame.data, 3), -EPIPE, "even within its header");
	frame.data[frame.size - 1] ^= 1;
	is_int(decode_text(frame.data, frame.size), -EPROTO, "a wrong checksum");
	free(data);
	free(frame.data);
}

static void sources_that_change(void)
{
	struct encode_counts counts = {0};
	struct collected frame = {0};
	struct sink to = sink_of(&frame);
	char *data = noise(100000);
	struct source s;
	int fd;

	open_source(&s, data, 100000);
	fd = openat(root, "input", O_WRONLY | O_TRUNC);
	is_int(encode(encoder, &s, &to, false, &counts), -ESTALE, "an input that became shorter");
	close(fd);
	close(s.fd);
	open_source(&s, data, 100000);
	fd = openat(root, "input", O_WRONLY | O_APPEND);
	ok(write(fd, data, 5000) == 5000, "an input that grows");
	counts = (struct encode_counts){0};
	is_int(encode(encoder, &s, &to, false, &counts), 0, "is taken");
	is_int((intmax_t)counts.in, 100000, "as far as it was when it was opened");
	close(fd);
	close(s.fd);
	free(data);
	free(frame.data);
}

static void failing_sink(void)
{
	struct collected frame = {.fail_at = 2};
	struct encode_counts counts = {0};
	struct sink to = sink_of(&frame);
	char *data = noise(3 * SPACE_PIECE);
	struct source s;

	open_source(&s, data, 3 * SPACE_PIECE);
	is_int(encode(encoder, &s, &to, false, &counts), -ENOSPC,
	       "what the sink says is passed on");
	close(s.fd);
	free(data);
	free(frame.data);
	round_trip(1000); /* and the encoder is as new */
}

/* In a child: whether the frame has had enough, within so long. */
static bool await(struct collected *frame, int ms)
{
	struct pollfd p = {.fd = frame->told[0], .events = POLLIN};

	if (frame->enough)
		close(frame->told[1]); /* the parent's alone */
	frame->enough = 0;
	return poll(&p, 1, ms) > 0;
}

static void pauses(void)
{
	struct collected frame = {.enough = 1};
	struct encode_counts counts = {0};
	struct sink to = sink_of(&frame);
	int pipes[2], size;
	struct source s;

	ok(pipe(pipes) == 0 && pipe(frame.told) == 0, "a pipe");
	source_init(&s, pipes[0]);
	s.idle_ms = 1;
	size = (int)write(pipes[1], "first", 5);
	is_int(size, 5, "with something in it");
	if (fork() == 0) {
		await(&frame, 30000);
		_exit(write(pipes[1], "second", 6) != 6);
	}
	close(pipes[1]);
	is_int(encode(encoder, &s, &to, true, &counts), 0, "a source that pauses");
	is_int((intmax_t)counts.in, 11, "is taken to its end");
	ok(frame.writes >= 2, "and flushed in between");
	is_int(decode_text(frame.data, frame.size), 0, "into one sound frame");
	close(pipes[0]);
	free(frame.data);
}

/* Writes a byte every 2 ms until the frame has had enough, for a minute at most. */
static _Noreturn void trickle(struct collected *frame, int fd, int countfd)
{
	int n = 0;

	do {
		usleep(2000);
		n += write(fd, "x", 1) == 1;
	} while (n < 30000 && !await(frame, 0));
	_exit(write(countfd, &n, sizeof(n)) != sizeof(n));
}

/* It never pauses, and never fills a piece. */
static void trickles(void)
{
	struct collected frame = {.enough = 2};
	struct encode_counts counts = {0};
	struct sink to = sink_of(&frame);
	struct source s;
	int pipes[2], number[2], n = -1;

	ok(pipe(pipes) == 0 && pipe(number) == 0 && pipe(frame.told) == 0, "a pipe");
	source_init(&s, pipes[0]);
	s.idle_ms = 20;
	if (fork() == 0)
		trickle(&frame, pipes[1], number[1]);
	close(pipes[1]);
	is_int(encode(encoder, &s, &to, true, &counts), 0, "a source that is slow");
	ok(read(number[0], &n, sizeof(n)) == sizeof(n) && n < 30000,
	   "is flushed in between (%zu writes of %d bytes)", frame.writes, n);
	is_int((intmax_t)counts.in, n, "and taken to its end");
	close(number[0]);
	close(number[1]);
	is_int(decode_text(frame.data, frame.size), 0, "into one sound frame");
	close(pipes[0]);
	free(frame.data);
}

static int64_t second_each(void)
{
	static int64_t now_ns;

	return now_ns += NS_PER_S;
}

/* Input is there at once, and takes its time to be compressed to nearly nothing. */
static void long_work(void)
{
	const size_t size = 1 << 20;
	char *zeros = calloc(1, size);

	for (int flush = 0; flush < 2; flush++) {
		struct collected frame = {0};
		struct encode_counts counts = {0};
		struct sink to = sink_of(&frame);
		struct source s;

		open_source(&s, zeros, size);
		clock_use(second_each);
		is_int(encode(encoder, &s, &to, flush, &counts), 0, "encoded");
		clock_use(NULL);
		is_int((intmax_t)frame.writes, flush ? 4 : 1, "%s",
		       flush ? "each half second's work is flushed" : "in one piece");
		close(s.fd);
		free(frame.data);
	}
	free(zeros);
}

static void options(void)
{
	struct mn_error e = MN_ERROR_INIT;
	struct encode_options o = {.level = 3, .long_window = 99};
	struct encoder *z = NULL;

	is_int(encoder_open(&z, &o, &e), -EINVAL, "a window that zstd has not");
	is_int(e.status, MN_USAGE, "is a matter of usage");
}

int main(void)
{
	static const size_t sizes[] = {
		0, 1, 1000, SPACE_PIECE, SPACE_PIECE + 1, 3 * SPACE_PIECE + 12345};
	struct encode_options o = {.level = 1};

	root = scratch_open();
	is_int(encoder_open(&encoder, &o, NULL), 0, "an encoder");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		round_trip(sizes[i]);
	bad_frames();
	sources_that_change();
	failing_sink();
	pauses();
	trickles();
	long_work();
	options();
	encoder_close(encoder);
	return done_testing();
}
