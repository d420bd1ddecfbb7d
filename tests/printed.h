/* What code under test prints on stdout, in between TAP's own lines. */
#ifndef TESTS_PRINTED_H
#define TESTS_PRINTED_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	int old, readfd;
	char text[4096];
} printed;

/* From here on, up to a pipe's 64 KB, it is kept. */
static void printed_begin(void)
{
	int pair[2];

	fflush(stdout);
	printed.old = dup(STDOUT_FILENO);
	if (printed.old < 0 || pipe(pair) < 0 || dup2(pair[1], STDOUT_FILENO) < 0)
		abort();
	close(pair[1]);
	printed.readfd = pair[0];
}

/* What it was, until the next one. */
static const char *printed_end(void)
{
	ssize_t n;

	fflush(stdout);
	dup2(printed.old, STDOUT_FILENO);
	close(printed.old);
	n = read(printed.readfd, printed.text, sizeof(printed.text) - 1);
	close(printed.readfd);
	printed.text[n > 0 ? n : 0] = '\0';
	return printed.text;
}

#endif
