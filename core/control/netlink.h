/*
 * Questions to the kernel over netlink, with libnl for what it is good at (sockets, the generic
 * family's number, attributes), and without a byte of memory taken per question.
 *
 * The kernel answers before it returns to us, so nothing here waits; a receive has a deadline only
 * because nothing in the loop may be without one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct nl_sock;
struct nlmsghdr;
struct nlattr;

#define NETLINK_ANSWER_MAX 32768

struct netlink {
	struct nl_sock *sock; /* NULL: not open */
	uint32_t serial;
};

/* `protocol` as NETLINK_ROUTE. 0 or -errno. */
int netlink_open(struct netlink *netlink, int protocol);
void netlink_close(struct netlink *netlink);

/* The number of a generic family, at the start: libnl takes memory for this. Or -errno. */
int netlink_family(struct netlink *netlink, const char *name);

/*
 * Sends the request, whose header's length, type and flags are set, and calls `answer` with each
 * message of the reply. 0 or -errno, also of the kernel's refusal.
 */
int netlink_ask(struct netlink *netlink, struct nlmsghdr *request,
		void (*answer)(void *cookie, const struct nlmsghdr *message), void *cookie);

/* The attribute `type` among those behind `head` bytes of the message's body; NULL: none. */
const void *netlink_attribute(const struct nlmsghdr *message, size_t head, int type, size_t *size);

/* The same within an attribute's data. */
const void *netlink_nested(const void *data, size_t size, int type, size_t *found);
