#include "control/uplink.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"

static void take_link(void *cookie, const struct nlmsghdr *message)
{
	struct uplink *u = cookie;
	const struct ifinfomsg *info = NLMSG_DATA(message);
	struct rtnl_link_stats64 stats;
	size_t size;
	const void *data;

	if (message->nlmsg_type != RTM_NEWLINK)
		return;
	data = netlink_attribute(message, sizeof(*info), IFLA_STATS64, &size);
	if (!data || size < offsetof(struct rtnl_link_stats64, multicast))
		return;
	memset(&stats, 0, sizeof(stats));
	memcpy(&stats, data, size < sizeof(stats) ? size : sizeof(stats));
	u->sent_bytes = stats.tx_bytes;
	u->dropped = stats.tx_dropped;
	u->up = (info->ifi_flags & IFF_RUNNING) != 0;
}

static int ask_link(struct uplink *u)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} request = {
		.head = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK},
		.info = {.ifi_index = (int)if_nametoindex(u->device)},
	};

	if (request.info.ifi_index == 0)
		return -1;
	return netlink_ask(&u->netlink, &request.head, take_link, u);
}

/* rtnetlink does not tell the speed; a device without one (lo, a bridge, TUN) has -1 or no file. */
static double read_speed(const char *device)
{
	char path[64], text[24];
	long mbit;

	snprintf(path, sizeof(path), "/sys/class/net/%s/speed", device);
	if (io_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	mbit = strtol(text, NULL, 10);
	return mbit > 0 ? (double)mbit * 125000 : 0;
}

static void take_route(void *cookie, const struct nlmsghdr *message)
{
	struct uplink *u = cookie;
	const struct rtmsg *route = NLMSG_DATA(message);
	const void *data;
	size_t size;
	int index;

	if (message->nlmsg_type != RTM_NEWROUTE ||
	    message->nlmsg_len < NLMSG_LENGTH(sizeof(*route)) || route->rtm_dst_len ||
	    u->device[0] || route->rtm_table != RT_TABLE_MAIN)
		return;
	data = netlink_attribute(message, sizeof(*route), RTA_OIF, &size);
	if (!data || size < sizeof(index))
		return;
	memcpy(&index, data, sizeof(index));
	if (!if_indextoname((unsigned int)index, u->device))
		u->device[0] = '\0';
}

static void find_default(struct uplink *u)
{
	struct {
		struct nlmsghdr head;
		struct rtmsg route;
	} request = {
		.head = {.nlmsg_len = sizeof(request),
			 .nlmsg_type = RTM_GETROUTE,
			 .nlmsg_flags = NLM_F_DUMP},
		.route = {.rtm_family = AF_INET},
	};

	netlink_ask(&u->netlink, &request.head, take_route, u);
}

void uplink_open(struct uplink *u, const char *device)
{
	*u = (struct uplink){0};
	if (netlink_open(&u->netlink, NETLINK_ROUTE)) {
		log_debug("no rtnetlink: the uplink is not looked at");
		return;
	}
	snprintf(u->device, sizeof(u->device), "%s", device);
	u->told = *device != '\0';
	if (!u->told)
		find_default(u);
	if (!u->device[0])
		log_debug("no default route: no uplink is looked at");
	else if (u->told && ask_link(u))
		log_warn("uplink %s: no such interface now", u->device);
}

void uplink_close(struct uplink *u)
{
	netlink_close(&u->netlink);
}

/* A network that comes up after us; not each period, a router's table is long. */
static void find_again(struct uplink *u, int64_t now_ns)
{
	if (u->told || !u->netlink.sock || now_ns < u->find_ns)
		return;
	u->find_ns = now_ns + UPLINK_FIND_NS;
	u->device[0] = '\0';
	find_default(u);
	if (u->device[0])
		log_debug("uplink %s: that of the default route", u->device);
}

void uplink_look(struct uplink *u, int64_t now_ns)
{
	double sent;

	u->busy = 0;
	if (!u->device[0] || ask_link(u)) {
		u->since_ns = 0;
		find_again(u, now_ns);
		return;
	}
	u->speed_bps = read_speed(u->device);
	sent = (double)(int64_t)(u->sent_bytes - u->before_bytes);
	if (u->since_ns && u->speed_bps > 0 && sent >= 0 && now_ns > u->since_ns)
		u->busy = sent * 1e9 / (double)(now_ns - u->since_ns) / u->speed_bps;
	u->before_bytes = u->sent_bytes;
	u->since_ns = now_ns;
}
