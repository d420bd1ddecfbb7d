#include "host/datagram.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifndef UDP_SEGMENT
#	define UDP_SEGMENT 103
#endif

static bool full(int error)
{
	return error == EAGAIN || error == ENOBUFS;
}

/* Too narrow a way, no checksums, or more than a datagram may have in all. */
static bool together_not(int error)
{
	return error == EINVAL || error == EIO || error == EMSGSIZE;
}

static int send_together(int fd, const struct msghdr *to_all, uint16_t each)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(each))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(each)),
			      .cmsg_level = SOL_UDP,
			      .cmsg_type = UDP_SEGMENT}};
	struct msghdr message = *to_all;

	memcpy(CMSG_DATA(&control.head), &each, sizeof(each));
	message.msg_control = &control;
	message.msg_controllen = sizeof(control);
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int datagram_send(int fd, const struct sockaddr *to, socklen_t to_size, const struct iovec packet[],
		  size_t n)
{
	/* sendmsg(2) does not write to them. */
	struct msghdr message = {
		.msg_name = (void *)(uintptr_t)to,
		.msg_namelen = to_size,
		.msg_iov = (struct iovec *)(uintptr_t)packet,
		.msg_iovlen = (int)n,
	};
	int err = n > 1 ? send_together(fd, &message, (uint16_t)packet[0].iov_len) : -EINVAL;

	if (!err)
		return (int)n;
	if (full(-err))
		return 0;
	if (!together_not(-err))
		return err;
	message.msg_iovlen = 1;
	for (size_t i = 0; i < n; i++, message.msg_iov++) {
		if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
			return full(errno) ? (int)i : -errno;
	}
	return (int)n;
}
