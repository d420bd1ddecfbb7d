/* Reads and writes that finish. */
#include "base/io.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "tests/scratch.h"
#include "tests/tap.h"

#define BIG ((size_t)1 << 20)

static int root;
static char big[BIG], back[BIG];

static void small_files(void)
{
	char buf[8];

	scratch_file(root, "seven", "1234567", 7);
	scratch_file(root, "eight", "12345678", 8);
	scratch_file(root, "empty", "", 0);
	is_int(io_read_file(root, "seven", buf, sizeof(buf)), 7, "a file that leaves room for NUL");
	is_str(buf, "1234567", "whole, and ended");
	is_int(io_read_file(root, "eight", buf, sizeof(buf)), -EFBIG, "one byte more is too big");
	is_int(io_read_file(root, "empty", buf, sizeof(buf)), 0, "an empty file");
	is_str(buf, "", "is an empty string");
	is_int(io_read_file(root, "none", buf, sizeof(buf)), -ENOENT, "no file");
	is_int(io_read_file(root, ".", buf, sizeof(buf)), -EISDIR, "a folder");
}

static bool still(const struct stat *was)
{
	struct stat now;

	return fstatat(root, "seven", &now, 0) == 0 && io_same_content(was, &now);
}

static void truncate_seven(off_t size)
{
	int fd = openat(root, "seven", O_WRONLY);

	is_int(ftruncate(fd, size), 0, "made %d bytes", (int)size);
	close(fd);
}

static void same_content(void)
{
	const struct timespec later[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 4000000000}};
	struct stat was;

	scratch_file(root, "seven", "1234567", 7);
	fstatat(root, "seven", &was, 0);
	ok(still(&was), "a file is the same until");
	utimensat(root, "seven", later, 0);
	ok(!still(&was), "its time");
	fstatat(root, "seven", &was, 0);
	truncate_seven(8);
	utimensat(root, "seven", later, 0);
	ok(!still(&was), "or its size is another");
	fstatat(root, "seven", &was, 0);
	linkat(root, "seven", root, "eighth", 0);
	scratch_file(root, "eight", "12345678", 8);
	utimensat(root, "eight", later, 0);
	renameat(root, "eight", root, "seven");
	ok(!still(&was), "or the file is");
}

static volatile sig_atomic_t interruptions;

static void count(int signal_number)
{
	(void)signal_number;
	interruptions++;
}

static void *read_slowly(void *arg)
{
	int fd = *(int *)arg;
	size_t done = 0;

	while (interruptions < 3)
		usleep(100);
	while (done < BIG) {
		ssize_t n = read(fd, back + done, 5000);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return NULL;
}

/*
 * The pipe is full before a byte is written, and nobody reads until the write, asleep, has been
 * interrupted with nothing done; later signals find it halfway.
 */
static void through_interruptions(void)
{
	struct sigaction action = {.sa_handler = count};
	struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
	pthread_t reader;
	sigset_t alarms;
	size_t filled = 0;
	int pipes[2];

	if (pipe(pipes) < 0)
		return;
	fcntl(pipes[1], F_SETFL, O_NONBLOCK);
	while (write(pipes[1], big + filled, 4096) > 0)
		filled += 4096;
	fcntl(pipes[1], F_SETFL, 0);
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
	pthread_create(&reader, NULL, read_slowly, &pipes[0]);
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	is_int(io_write_all(pipes[1], big + filled, BIG - filled), 0,
	       "a write finishes through signals");
	setitimer(ITIMER_REAL, &never, NULL);
	close(pipes[1]);
	pthread_join(reader, NULL);
	close(pipes[0]);
	is_mem(back, big, BIG, "with every byte in its place");
}

static void in_pieces(void)
{
	char buf[10] = "";
	int pipes[2];

	if (pipe(pipes) < 0)
		return;
	if (fork() == 0) {
		for (int i = 0; i < 6; i++)
			(void)!write(pipes[1], "abcdef" + i, 1);
		_exit(0);
	}
	close(pipes[1]);
	is_int(io_read_full(pipes[0], buf, 4), 4, "a read goes on to the size wanted");
	is_int(io_read_full(pipes[0], buf + 4, 5), 2, "or to the end");
	is_str(buf, "abcdef", "with every byte in its place");
	close(pipes[0]);
	wait(NULL);
}

static void failures(void)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	is_int(io_write_all(full, "x", 1), -ENOSPC, "a write that fails says why");
	is_int(io_write_all(-1, "x", 1), -EBADF, "also at once");
	is_int(io_write_all(-1, "x", 0), 0, "nothing to write, nothing to fail");
	is_int(io_read_full(-1, back, 1), -EBADF, "a read that fails says why");
	close(full);
}

int main(void)
{
	root = scratch_open();
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)(i * 7 + i / 1000);
	small_files();
	same_content();
	through_interruptions();
	in_pieces();
	failures();
	close(root);
	return done_testing();
}
