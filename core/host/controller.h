/*
 * The socket on which `memnet tune` reads what is drained and sets rates (space/link.h).
 *
 * Theory of operation. All of it happens in one loop, worker 0's or a push's. A controller's
 * connection asks a line and has its answer before the next line is read, so that what is kept for
 * it is bounded: a line, and one answer. There are CONTROLLER_PEERS connections at most, the others
 * wait in the socket's queue; one that asks nothing whole, or takes no answer, for
 * CONTROLLER_WAIT_NS is closed.
 *
 * The socket is made before rights are given up. At the end its name is removed; what a killed
 * stream left, the next one or the controller removes.
 */
#pragma once

#include "base/acceptor.h"
#include "base/error.h"
#include "base/loop.h"
#include "host/limits.h"
#include "host/site.h"
#include "host/text.h"
#include "space/link.h"

#define CONTROLLER_PEERS   4
#define CONTROLLER_WAIT_NS 30000000000LL

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
	/* The owner's. */
	struct loop *loop;
	const struct sites *sites;
	struct limits *limits;
	const char *listening; /* "ADDRESS:PORT"; "": nowhere */
	const char *rateless;  /* why it has no rate to be set; NULL: it has */
	struct survey (*survey)(struct controller *c, size_t site);

	struct acceptor listener;
	struct timer lapse; /* of the next lease */
	struct controller_peer peer[CONTROLLER_PEERS];
	unsigned peers;
	char *answers; /* room for one answer of each; NULL: not in use */
};

/* What the process holds from its start to its end. */
struct controller_socket {
	int fd, folderfd; /* -1: none */
	char name[LINK_NAME_MAX];
};

/* Makes the socket if there is a space. Without it the stream does as well: told once. */
void controller_listen(struct controller_socket *socket, const char *runtime_dir,
		       const struct sites *sites);
void controller_remove(struct controller_socket *socket);

/*
 * The folder of its name, which sandbox_paths() has to leave open for writing, to be freed; NULL:
 * there is no socket.
 */
char *controller_folder(const struct controller_socket *socket, const char *runtime_dir);

/* Fills in what the owner has not, and serves the socket from now on. 0 or -errno. */
int controller_init(struct controller *controller, int listenfd);
/* Harmless for one that is all zeroes. */
void controller_fini(struct controller *controller);
