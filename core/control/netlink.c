#include "control/netlink.h"

#include <errno.h>
#include <netlink/attr.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>
#include <sys/time.h>

static char answer_buffer[NETLINK_ANSWER_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));

int netlink_open(struct netlink *n, int protocol)
{
	const struct timeval wait = {.tv_usec = 100000};
	int err;

	n->serial = 0;
	n->sock = nl_socket_alloc();
	if (!n->sock)
		return -ENOMEM;
	err = nl_connect(n->sock, protocol);
	if (err < 0) {
		netlink_close(n);
		return -EPROTONOSUPPORT;
	}
	setsockopt(nl_socket_get_fd(n->sock), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	return 0;
}

void netlink_close(struct netlink *n)
{
	if (n->sock)
		nl_socket_free(n->sock);
	n->sock = NULL;
}

int netlink_family(struct netlink *n, const char *name)
{
	int family = genl_ctrl_resolve(n->sock, name);

	return family < 0 ? -ENOENT : family;
}

/* One datagram of the reply. 1: it was the last; 0; or the kernel's -errno. */
static int take(const char *buf, int size, uint32_t serial,
		void (*answer)(void *cookie, const struct nlmsghdr *message), void *cookie)
{
	const struct nlmsghdr *m = (const void *)buf;

	for (; nlmsg_ok(m, size); m = nlmsg_next((struct nlmsghdr *)(uintptr_t)m, &size)) {
		if (m->nlmsg_seq != serial)
			continue; /* of a question that was given up */
		if (m->nlmsg_type == NLMSG_DONE)
			return 1;
		if (m->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = nlmsg_data(m);

			return nlmsg_datalen(m) < (int)sizeof(*e) ? -EPROTO
			       : e->error			  ? e->error
								  : 1;
		}
		answer(cookie, m);
		if (!(m->nlmsg_flags & NLM_F_MULTI))
			return 1;
	}
	return 0;
}

int netlink_ask(struct netlink *n, struct nlmsghdr *request,
		void (*answer)(void *cookie, const struct nlmsghdr *message), void *cookie)
{
	int fd, done = 0;

	if (!n->sock)
		return -ENOTCONN;
	fd = nl_socket_get_fd(n->sock);
	request->nlmsg_seq = ++n->serial;
	request->nlmsg_pid = nl_socket_get_local_port(n->sock);
	request->nlmsg_flags |= NLM_F_REQUEST;
	if (nl_sendto(n->sock, request, request->nlmsg_len) < 0)
		return -EIO;
	while (!done) {
		ssize_t size = recv(fd, answer_buffer, sizeof(answer_buffer), 0);

		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			return size < 0 ? -errno : -EPROTO;
		done = take(answer_buffer, (int)size, n->serial, answer, cookie);
	}
	return done < 0 ? done : 0;
}

const void *netlink_nested(const void *data, size_t size, int type, size_t *found)
{
	const struct nlattr *a = nla_find(data, (int)size, type);

	if (!a)
		return NULL;
	*found = (size_t)nla_len(a);
	return nla_data(a);
}

const void *netlink_attribute(const struct nlmsghdr *m, size_t head, int type, size_t *size)
{
	if (nlmsg_datalen(m) < (int)head)
		return NULL;
	return netlink_nested(nlmsg_attrdata(m, (int)head), (size_t)nlmsg_attrlen(m, (int)head),
			      type, size);
}
