#include "control/connections.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "base/log.h"

#define ESTABLISHED 1

struct question {
	struct nlmsghdr head;
	struct inet_diag_req_v2 request;
	struct nlattr attribute;
	struct inet_diag_bc_op filter[4];
};

/* Ports from `port` to `port`: an operation is followed by its operand. */
static struct question question_of(uint8_t family, uint16_t port)
{
	struct question q = {
		.head = {.nlmsg_len = sizeof(q),
			 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			 .nlmsg_flags = NLM_F_DUMP},
		.request = {.sdiag_family = family,
			    .sdiag_protocol = IPPROTO_TCP,
			    .idiag_ext = 1 << (INET_DIAG_INFO - 1),
			    .idiag_states = 1 << ESTABLISHED},
		.attribute = {sizeof(struct nlattr) + sizeof(q.filter), INET_DIAG_REQ_BYTECODE},
		.filter = {{INET_DIAG_BC_S_GE, 8, 20},
			   {0, 0, port},
			   {INET_DIAG_BC_S_LE, 8, 12},
			   {0, 0, port}},
	};

	return q;
}

/* What the kernel told of it, which may be less or more than we know of. */
static size_t take_info(const struct nlmsghdr *message, struct tcp_info *info)
{
	size_t size;
	const void *data =
		netlink_attribute(message, sizeof(struct inet_diag_msg), INET_DIAG_INFO, &size);

	memset(info, 0, sizeof(*info));
	if (!data)
		return 0;
	memcpy(info, data, size < sizeof(*info) ? size : sizeof(*info));
	return size;
}

static void take_connection(void *cookie, const struct nlmsghdr *message)
{
	struct connections *c = cookie;
	const struct inet_diag_msg *socket = NLMSG_DATA(message);
	struct tcp_info info;
	size_t size;

	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*socket)))
		return;
	size = take_info(message, &info);
	c->count++;
	c->unacked_bytes += socket->idiag_wqueue;
	c->retransmitted += info.tcpi_total_retrans;
	c->sum_rtt_s += info.tcpi_rtt / 1e6;
	if (size < offsetof(struct tcp_info, tcpi_delivery_rate) + sizeof(uint64_t) ||
	    info.tcpi_delivery_rate_app_limited || !info.tcpi_delivery_rate)
		return;
	c->limited++;
	c->sum_bps += (double)info.tcpi_delivery_rate;
}

void connections_open(struct connections *c)
{
	*c = (struct connections){0};
	c->absent = netlink_open(&c->netlink, NETLINK_SOCK_DIAG) != 0;
	if (c->absent)
		log_debug("no sock_diag: the streams' connections are not looked at");
}

void connections_close(struct connections *c)
{
	netlink_close(&c->netlink);
}

static void forget(struct connections *c)
{
	c->count = c->limited = 0;
	c->unacked_bytes = c->retransmitted = 0;
	c->sum_bps = c->sum_rtt_s = c->delivery_bps = c->round_trip_s = 0;
}

/* What a kernel says that has no sock_diag, no tcp_diag, or no such family. */
static bool lasting(int err)
{
	return err == -ENOENT || err == -EOPNOTSUPP || err == -EINVAL;
}

static int ask(struct connections *c, uint16_t port)
{
	struct question v4 = question_of(AF_INET, port), v6 = question_of(AF_INET6, port);
	int err = netlink_ask(&c->netlink, &v4.head, take_connection, c);

	if (err)
		return err;
	err = netlink_ask(&c->netlink, &v6.head, take_connection, c);
	return lasting(err) ? 0 : err;
}

/* What has come of an answer is not all: none is told, and the rest ends with the socket. */
static void fail(struct connections *c, int err)
{
	forget(c);
	c->absent = lasting(err);
	if (c->absent)
		log_debug("sock_diag: %s: the streams' connections are not looked at",
			  strerror(-err));
	netlink_close(&c->netlink);
	if (!c->absent)
		(void)netlink_open(&c->netlink, NETLINK_SOCK_DIAG);
}

void connections_look(struct connections *c, uint16_t port)
{
	int err;

	forget(c);
	if (!port || c->absent)
		return;
	err = ask(c, port);
	if (err) {
		fail(c, err);
		return;
	}
	if (c->limited)
		c->delivery_bps = c->sum_bps / c->limited;
	if (c->count)
		c->round_trip_s = c->sum_rtt_s / c->count;
}
