/*
 * The kernel's answers over netlink, played: a test that includes this is linked with these
 * functions instead of core/control/netlink.c.
 */
#ifndef TESTS_CONTROL_FAKE_NETLINK_H
#define TESTS_CONTROL_FAKE_NETLINK_H

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/netlink.h"

typedef void (*fake_taker)(void *cookie, const struct nlmsghdr *message);

/* The test's: what the kernel says to a question, by calls of `taker`. 0 or -errno. */
static int fake_answer(const struct nlmsghdr *request, fake_taker taker, void *cookie);

static int fake_opened; /* how often, less how often closed */
static bool fake_absent;

int netlink_open(struct netlink *n, int protocol)
{
	(void)protocol;
	n->sock = NULL;
	if (fake_absent)
		return -EPROTONOSUPPORT;
	n->sock = (struct nl_sock *)&fake_opened;
	fake_opened++;
	return 0;
}

void netlink_close(struct netlink *n)
{
	fake_opened -= n->sock != NULL;
	n->sock = NULL;
}

int netlink_ask(struct netlink *n, struct nlmsghdr *request, fake_taker taker, void *cookie)
{
	return n->sock ? fake_answer(request, taker, cookie) : -ENOTCONN;
}

/* The one attribute of the messages below. */
const void *netlink_attribute(const struct nlmsghdr *m, size_t head, int type, size_t *size)
{
	const struct nlattr *a = (const void *)((const char *)NLMSG_DATA(m) + head);

	if (m->nlmsg_len < NLMSG_LENGTH(head) + sizeof(*a) || a->nla_type != type)
		return NULL;
	*size = a->nla_len - sizeof(*a);
	return a + 1;
}

/* A message of a body and one attribute, in memory of just its size. */
static void fake_tell(fake_taker taker, void *cookie, uint16_t message_type, const void *body,
		      size_t body_size, uint16_t type, const void *data, size_t size)
{
	size_t attribute = data ? sizeof(struct nlattr) + size : 0;
	size_t whole = NLMSG_LENGTH(body_size) + attribute;
	const struct nlattr head = {(uint16_t)attribute, type};
	struct nlmsghdr *m = calloc(1, whole);
	char *to;

	if (!m)
		abort();
	m->nlmsg_len = (uint32_t)whole;
	m->nlmsg_type = message_type;
	to = (char *)m + NLMSG_HDRLEN;
	memcpy(to, body, body_size);
	if (data) {
		memcpy(to + body_size, &head, sizeof(head));
		memcpy(to + body_size + sizeof(head), data, size);
	}
	taker(cookie, m);
	free(m);
}

#endif
