/*
 * The socket on which `memnet tune` reads what is drained and sets rates (space/link.h).
 *
 * Theory of operation. All of it is worker 0's, in its loop. A controller's connection asks a line
 * and has its answer before the next line is read, so that what is kept for it is bounded: a line,
 * and one answer. There are CONTROLLER_PEERS connections at most, the others wait in the socket's
 * queue; one that asks nothing whole, or takes no answer, for CONTROLLER_WAIT_NS is closed.
 *
 * The socket is made before rights are given up. At the end its name is removed; what a killed
 * stream left, the next one or the controller removes.
 */
#pragma once

#include "base/error.h"
#include "base/loop.h"
#include "host/text.h"
#include "space/link.h"

#define CONTROLLER_PEERS   4
#define CONTROLLER_WAIT_NS 30000000000LL

struct server;
struct worker;
struct sites;

struct controller_peer {
	struct watch watch; /* fd -1: none */
	struct timer timer;
	struct controller *controller;
	char line[LINK_LINE_MAX];
	size_t size;
	size_t at; /* of the answer that has been taken */
	struct text answer;
};

struct controller {
	struct watch listener;
	struct timer lapse; /* of the next lease */
	struct worker *worker;
	struct controller_peer peer[CONTROLLER_PEERS];
	unsigned peers;
	char *answers; /* room for one answer of each */
	size_t room;
};

/* What the server holds from its start to its end. */
struct controller_socket {
	int fd, folderfd; /* -1: none */
	char name[LINK_NAME_MAX];
};

/* Makes the socket if a space is served. Without it the server does as well: told once. */
void controller_listen(struct controller_socket *socket, const char *runtime_dir,
		       const struct sites *sites);
void controller_remove(struct controller_socket *socket);

/* Serves it in that worker's loop, from now on. 0 or -errno. */
int controller_init(struct controller *controller, struct worker *worker, int listenfd);
void controller_fini(struct controller *controller);
