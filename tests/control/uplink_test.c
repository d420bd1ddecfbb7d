/* The uplink: that of a default route which comes, goes and comes; and messages cut short. */
#include "control/uplink.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "tests/control/fake_netlink.h"
#include "tests/tap.h"

static int routes_asked;
static bool routed, linked; /* whether there is a default route, and the device */
static uint64_t sent_bytes;

/* The loopback device plays the uplink: it is on every machine. */
static void tell_routes(fake_taker taker, void *cookie)
{
	struct rtmsg route = {.rtm_table = RT_TABLE_MAIN, .rtm_dst_len = 8};
	unsigned int index = if_nametoindex("lo"), other = index + 1;

	/* What no kernel says. */
	fake_tell(taker, cookie, RTM_NEWROUTE, "", 0, 0, NULL, 0);
	fake_tell(taker, cookie, RTM_NEWROUTE, &route, 4, 0, NULL, 0);
	fake_tell(taker, cookie, RTM_NEWROUTE, &route, sizeof(route), RTA_OIF, &other,
		  sizeof(other));
	route.rtm_dst_len = 0;
	fake_tell(taker, cookie, RTM_NEWROUTE, &route, sizeof(route), 0, NULL, 0);
	fake_tell(taker, cookie, RTM_NEWROUTE, &route, sizeof(route), RTA_OIF, &index, 2);
	if (routed)
		fake_tell(taker, cookie, RTM_NEWROUTE, &route, sizeof(route), RTA_OIF, &index,
			  sizeof(index));
}

static int fake_answer(const struct nlmsghdr *request, fake_taker taker, void *cookie)
{
	const struct ifinfomsg info = {.ifi_flags = IFF_RUNNING};
	const struct rtnl_link_stats64 stats = {.tx_bytes = sent_bytes};

	if (request->nlmsg_type == RTM_GETROUTE) {
		routes_asked++;
		tell_routes(taker, cookie);
		return 0;
	}
	if (!linked)
		return -ENODEV;
	fake_tell(taker, cookie, RTM_NEWLINK, "", 0, 0, NULL, 0);
	fake_tell(taker, cookie, RTM_NEWLINK, &info, sizeof(info), IFLA_STATS64, &stats,
		  sizeof(stats));
	return 0;
}

int main(void)
{
	struct uplink u;
	int64_t now_ns = NS_PER_S;

	linked = true;
	sent_bytes = 5000;
	uplink_open(&u, "");
	is_str(u.device, "", "no default route yet");
	uplink_look(&u, now_ns);
	is_int(routes_asked, 2, "it is looked for again");
	routed = true;
	uplink_look(&u, now_ns + 1);
	is_int(routes_asked, 2, "but not each period");
	now_ns += UPLINK_FIND_NS;
	uplink_look(&u, now_ns);
	is_str(u.device, "lo", "the network came up after us");
	uplink_look(&u, now_ns + 1);
	ok(u.up && u.sent_bytes == 5000, "its figures are there");
	is_int(routes_asked, 3, "and nothing is looked for");

	linked = routed = false;
	now_ns += UPLINK_FIND_NS;
	uplink_look(&u, now_ns);
	is_str(u.device, "", "the device is gone");
	linked = routed = true;
	uplink_look(&u, now_ns + UPLINK_FIND_NS);
	is_str(u.device, "lo", "and there again");
	uplink_close(&u);

	routes_asked = 0;
	linked = false;
	uplink_open(&u, "memnet-none0");
	uplink_look(&u, now_ns + 5 * UPLINK_FIND_NS);
	is_str(u.device, "memnet-none0", "one that was named stays");
	is_int(routes_asked, 0, "and no other is looked for");
	uplink_close(&u);
	is_int(fake_opened, 0, "closed");
	return done_testing();
}
