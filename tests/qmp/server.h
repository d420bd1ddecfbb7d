/*
 * A monitor that plays a script, in a process of its own. A script is lines:
 *
 *	> TEXT     sends TEXT and CR LF
 *	< NAME     waits for the command NAME; any other fails the script
 *	= JSON     answers it: {"return": JSON, "id": …}
 *	! CLASS D  refuses it, with the description D
 *	# N        sends N bytes of white space and CR LF
 *	hang       reads and answers nothing until the client has gone
 *	@ NAME J   from now on J is the standing answer to NAME
 *	serve      gives standing answers until the client has gone; any other command fails
 *
 * and the end closes the connection. server_end() tells whether the client did as the script says.
 */
#ifndef TESTS_QMP_SERVER_H
#define TESTS_QMP_SERVER_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qmp/qmp.h"

#define GREETING "> {\"QMP\":{\"version\":{\"qemu\":{\"major\":7}},\"capabilities\":[\"oob\"]}}\n"
#define READY	 GREETING "< qmp_capabilities\n= {}\n"

struct server {
	pid_t pid;
	int fd; /* the client's end, until transport_adopt() has it */
};

static struct {
	char name[64], json[512];
} server_standing[16];
static int server_standing_count;

/* What is left to send before the connection breaks; it never does below 0. */
static long server_budget = -1;

static void server_send(int fd, const char *text, size_t size)
{
	while (size > 0) {
		size_t want = server_budget >= 0 && (size_t)server_budget < size
				      ? (size_t)server_budget
				      : size;
		ssize_t n = want ? write(fd, text, want) : 0;

		if (n <= 0) /* the budget is spent, or the client has gone */
			_exit(0);
		if (server_budget >= 0)
			server_budget -= n;
		text += n;
		size -= (size_t)n;
	}
}

static void server_line(int fd, const char *text)
{
	server_send(fd, text, strlen(text));
	server_send(fd, "\r\n", 2);
}

/* False at the end. */
static bool server_read_line(int fd, char *line, size_t size)
{
	size_t n = 0;
	char c = 0;

	while (n + 1 < size && read(fd, &c, 1) == 1 && c != '\n')
		line[n++] = c;
	line[n] = '\0';
	return c == '\n';
}

static void server_filler(int fd, long size)
{
	char block[65536];

	memset(block, ' ', sizeof(block));
	for (; size > 0; size -= (long)sizeof(block))
		server_send(fd, block, size < (long)sizeof(block) ? (size_t)size : sizeof(block));
	server_send(fd, "\r\n", 2);
}

/* The id of the last command, as its JSON text. */
static void server_id(const char *command, char *id, size_t size)
{
	const char *at = NULL;

	/* The last one: device_add has an id among its arguments. */
	for (const char *p = command; (p = strstr(p, "\"id\":")); p++)
		at = p;
	snprintf(id, size, "%s", at ? at + 5 : "null}");
	id[strcspn(id, "}")] = '\0';
}

static bool server_is(const char *command, const char *name)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), "\"execute\":\"%s\"", name);
	return strstr(command, wanted) != NULL;
}

static void server_answer(int fd, const char *command, const char *json)
{
	char text[4096], id[64];

	server_id(command, id, sizeof(id));
	snprintf(text, sizeof(text), "{\"return\":%s,\"id\":%s}", json, id);
	server_line(fd, text);
}

static void server_serve(int fd, char *command, size_t size)
{
	while (server_read_line(fd, command, size)) {
		int i = server_standing_count;

		while (--i >= 0 && !server_is(command, server_standing[i].name))
			;
		if (i < 0) {
			fprintf(stderr, "# did not expect %s\n", command);
			_exit(2);
		}
		server_answer(fd, command, server_standing[i].json);
	}
}

static void server_stand(const char *text)
{
	sscanf(text, "%63s %511[^\n]", server_standing[server_standing_count].name,
	       server_standing[server_standing_count].json);
	server_standing_count++;
}

static void server_step(int fd, const char *step, char *command, size_t size)
{
	char text[4096], id[64];

	server_id(command, id, sizeof(id));
	switch (step[0]) {
	case '>': server_line(fd, step + 2); break;
	case '#': server_filler(fd, atol(step + 2)); break;
	case '<':
		server_read_line(fd, command, size);
		if (!server_is(command, step + 2)) {
			fprintf(stderr, "# wanted %s, got %s\n", step + 2, command);
			_exit(2);
		}
		break;
	case '=': server_answer(fd, command, step + 2); break;
	case '@': server_stand(step + 2); break;
	case 's': server_serve(fd, command, size); break;
	case '!': {
		const char *space = strchr(step + 2, ' ');

		snprintf(text, sizeof(text),
			 "{\"id\":%s,\"error\":{\"class\":\"%.*s\",\"desc\":\"%s\"}}", id,
			 (int)(space - step - 2), step + 2, space + 1);
		server_line(fd, text);
		break;
	}
	case 'h':
		while (read(fd, text, sizeof(text)) > 0)
			;
		break;
	default: _exit(4);
	}
}

static void server_play(int fd, const char *script)
{
	char *lines = strdup(script), *save = NULL, command[8192] = "";

	signal(SIGPIPE, SIG_IGN);
	for (char *step = strtok_r(lines, "\n", &save); step; step = strtok_r(NULL, "\n", &save))
		server_step(fd, step, command, sizeof(command));
	_exit(0);
}

static struct server server_start(const char *script)
{
	struct server s;
	int pair[2];

	fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	s.pid = fork();
	if (s.pid == 0) {
		close(pair[0]);
		server_play(pair[1], script);
	}
	close(pair[1]);
	s.fd = pair[0];
	return s;
}

/* 0 when the script was played to its end. */
static int server_end(struct server *s)
{
	int status = -1;

	waitpid(s->pid, &status, 0);
	return status;
}

/* Connects to a script. 0, or what qmp_start() returned. */
static int server_connect(struct server *s, const char *script, int64_t wait_ns, struct qmp **q,
			  struct mn_error *e)
{
	struct transport t = {0};

	*s = server_start(script);
	*q = NULL;
	if (transport_adopt(s->fd, &t))
		abort();
	return qmp_start(t, clock_ns() + wait_ns, q, e);
}

#endif
