#include "host/multicast.h"

#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>

bool multicast_is(const struct sockaddr *address)
{
	const struct sockaddr_in *in4 = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;

	return address->sa_family == AF_INET6 ? IN6_IS_ADDR_MULTICAST(&in6->sin6_addr)
					      : IN_MULTICAST(ntohl(in4->sin_addr.s_addr));
}

static int set_ttl(int fd, const struct sockaddr *to, int ttl)
{
	const bool group = multicast_is(to);

	if (to->sa_family == AF_INET6)
		return setsockopt(fd, IPPROTO_IPV6, group ? IPV6_MULTICAST_HOPS : IPV6_UNICAST_HOPS,
				  &ttl, sizeof(ttl));
	return setsockopt(fd, IPPROTO_IP, group ? IP_MULTICAST_TTL : IP_TTL, &ttl, sizeof(ttl));
}

static int set_interface(int fd, int family, int index)
{
	const struct ip_mreqn in4 = {.imr_ifindex = index};

	if (family == AF_INET6)
		return setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index));
	return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &in4, sizeof(in4));
}

int multicast_set(int fd, const struct sockaddr *to, const struct multicast_way *way,
		  struct mn_error *e)
{
	int index;

	if (way->ttl > 0 && set_ttl(fd, to, way->ttl) < 0)
		return mn_fail_errno(e, errno, "TTL %d", way->ttl);
	if (!way->interface)
		return 0;
	if (!multicast_is(to))
		return mn_fail(e, MN_USAGE, EINVAL,
			       "--interface is for multicast: the route to another address chooses "
			       "it");
	index = (int)if_nametoindex(way->interface);
	if (index == 0)
		return mn_fail(e, MN_USAGE, ENODEV, "%s: no such interface", way->interface);
	if (set_interface(fd, to->sa_family, index) < 0)
		return mn_fail_errno(e, errno, "%s", way->interface);
	return 0;
}
