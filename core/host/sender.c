#include "host/sender.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/object.h"

/* What goes through the pipe at a time, at most. */
#define PIECE (512 * 1024)

/* What TCP begins while its buffer is not full, it fills. */
#define PACKET (64 * 1024)

/* Less is not worth two calls. */
#define MAPPED_MIN (32 * 1024)

void sender_init(struct sender *s, int nullfd)
{
	s->pipe[0] = s->pipe[1] = -1;
	s->nullfd = nullfd;
	if (nullfd < 0 || pipe2(s->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	/* A page is a slot, and one more where a piece begins within a page. */
	if (fcntl(s->pipe[1], F_SETPIPE_SZ, 2 * PIECE) < 2 * PIECE)
		sender_fini(s);
}

void sender_fini(struct sender *s)
{
	for (int i = 0; i < 2; i++) {
		if (s->pipe[i] >= 0)
			close(s->pipe[i]);
		s->pipe[i] = -1;
	}
}

/*
 * The references go, nothing is read. What stays would be sent to another client: rather no pipe
 * than that.
 */
static void drop_rest(struct sender *s, size_t rest)
{
	while (rest > 0) {
		ssize_t n = splice(s->pipe[0], NULL, s->nullfd, NULL, rest, SPLICE_F_NONBLOCK);

		if (n <= 0) {
			sender_fini(s);
			return;
		}
		rest -= (size_t)n;
	}
}

/*
 * How much of `size` the socket will take, about; the rest would be looked up for nothing. A client
 * that reads slowly makes room for a packet or two at a time.
 */
static size_t piece_for(int sock, size_t size)
{
	uint32_t mem[SK_MEMINFO_VARS];
	socklen_t mem_size = sizeof(mem);
	size_t room = PIECE - PACKET;

	if (size > PACKET && getsockopt(sock, SOL_SOCKET, SO_MEMINFO, mem, &mem_size) == 0) {
		const uint32_t all = mem[SK_MEMINFO_SNDBUF], queued = mem[SK_MEMINFO_WMEM_QUEUED];

		if (queued + room > all)
			room = queued < all ? all - queued : 0;
	}
	room += PACKET - room % PACKET;
	return size < room ? size : room;
}

/* Sends a piece; -EFAULT: the memory is not there any more, and nothing of it was sent. */
static ssize_t send_piece(struct sender *s, int sock, void *from, size_t size, bool more,
			  bool *full)
{
	const struct iovec piece = {from, size};
	const ssize_t put = vmsplice(s->pipe[1], &piece, 1, SPLICE_F_NONBLOCK);
	ssize_t n;

	if (put <= 0)
		return -EFAULT;
	n = splice(s->pipe[0], NULL, sock, NULL, (size_t)put,
		   SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0));
	if (n < 0)
		n = -errno;
	*full = n < put;
	if (*full)
		drop_rest(s, (size_t)(put - (n > 0 ? n : 0)));
	return n;
}

/* As sender_send(); -EFAULT: not from the mapping. */
static ssize_t send_mapped(struct sender *s, int sock, struct object *o, int64_t at, size_t size,
			   bool *full)
{
	size_t sent = 0;

	while (sent < size && !*full) {
		const size_t left = size - sent, piece = piece_for(sock, left);
		char *from = object_mapping(o, at + (int64_t)sent, piece);
		ssize_t n = from ? send_piece(s, sock, from, piece, piece < left, full) : -EFAULT;

		if (n < 0)
			return sent > 0 ? (ssize_t)sent : n;
		sent += (size_t)n;
	}
	return (ssize_t)sent;
}

ssize_t sender_send(struct sender *s, int sock, struct object *o, int64_t at, size_t size,
		    bool *full)
{
	ssize_t n = -EFAULT;

	*full = false;
	if (o->map && s->pipe[0] >= 0 && size >= MAPPED_MIN)
		n = send_mapped(s, sock, o, at, size, full);
	/* What the mapping does not have, the file may: it says how far it goes now. */
	if (n == -EFAULT)
		n = sendfile(sock, o->fd, &at, size);
	else
		return n;
	return n < 0 ? -errno : n;
}

ssize_t sender_copy(struct sender *s, int sock, struct object *o, int64_t at, size_t size)
{
	ssize_t n = pread(o->fd, s->copy, size < sizeof(s->copy) ? size : sizeof(s->copy), at);

	if (n > 0)
		n = send(sock, s->copy, (size_t)n, MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}
