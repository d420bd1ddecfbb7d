/*
 * How an object's bytes get into a socket: the cheapest path for the link, the object and its size.
 *
 * Theory of operation. There are four paths.
 *
 * Copied: an object of up to OBJECT_COPY_MAX goes out with its head in one sendmsg(2), as the copy
 * is cheaper than looking after pages (answer.c).
 *
 * Mapped: a larger one that is asked for again goes by reference from its mapping, through a pipe,
 * by vmsplice(2) and splice(2), as much at a time as the socket has room for. The page tables give
 * the pages for less than the page cache does: 64 clients on loopback cost .107 s/GB against .129,
 * with huge pages .094 against .111.
 *
 * Read and sent: what is punched out of huge pages meanwhile (release.h says why it must be).
 *
 * sendfile(2): everything else. What is read once does not repay its mapping, a live object grows,
 * and one that is to be given back is not mapped (host/object.h).
 *
 * MSG_ZEROCOPY is not among them. For a receiver on this host, over a veth as over loopback, the
 * kernel copies such a send after all, and says so only with its notification
 * (tests/platform/zerocopy_test.c): over a veth, 64 clients cost .55 to .94 s/GB of both cores'
 * time with it, .37 to .39 with sendfile(2). Out of the host the mapped path is by reference, too,
 * and needs no notifications.
 *
 * What is in a socket by reference is the file's own page: the guest may overwrite it, its own
 * data; we do not, see release.c. Nobody is told when the kernel is done with it, and nobody need
 * be: unmapping, closing and unlinking leave it to the last one who holds it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct object;

/* A worker's. */
struct sender {
	int pipe[2]; /* empty between calls; -1: none, then all goes by sendfile(2) */
	int nullfd;  /* takes what the socket did not; the server's */
	char copy[128 * 1024];
};

/* `nullfd`: /dev/null for writing, or -1. */
void sender_init(struct sender *s, int nullfd);
void sender_fini(struct sender *s);

/*
 * Sends from the object's offset `at`: as many bytes as the socket takes, at most `size` (> 0). How
 * many; 0: the object ends before; -EAGAIN: the socket is full; -errno: the connection is lost.
 * *full: it is so now, and will say (EPOLLOUT) when it no longer is; false: not known.
 */
ssize_t sender_send(struct sender *s, int sock, struct object *o, int64_t at, size_t size,
		    bool *full);

/* The same, by a copy: no page of the object is in the socket behind it. */
ssize_t sender_copy(struct sender *s, int sock, struct object *o, int64_t at, size_t size);
