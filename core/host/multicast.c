#include "host/multicast.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
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

static int refuse(const char *text, struct mn_error *e)
{
	return mn_fail(e, MN_USAGE, EINVAL,
		       "bad range \"%.64s\": want multicast addresses such as 239.192.0.0/24",
		       text);
}

/* Where the 32 bits are that a group's number is counted in. */
static uint8_t *tail(union multicast_address *a)
{
	return a->any.sa_family == AF_INET6 ? a->in6.sin6_addr.s6_addr + 12
					    : (uint8_t *)&a->in4.sin_addr;
}

static uint32_t get_tail(union multicast_address *a)
{
	uint32_t n;

	memcpy(&n, tail(a), sizeof(n));
	return ntohl(n);
}

static void set_tail(union multicast_address *a, uint32_t n)
{
	n = htonl(n);
	memcpy(tail(a), &n, sizeof(n));
}

static bool parse_address(const char *text, union multicast_address *a)
{
	a->any.sa_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	return inet_pton(a->any.sa_family, text,
			 a->any.sa_family == AF_INET6 ? (void *)&a->in6.sin6_addr
						      : (void *)&a->in4.sin_addr) == 1 &&
	       multicast_is(&a->any);
}

int multicast_range_parse(const char *text, struct multicast_range *range, struct mn_error *e)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN] = "", *end = NULL;
	const size_t size = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long prefix, bits;

	*range = (struct multicast_range){0};
	if (size >= sizeof(address))
		return refuse(text, e);
	memcpy(address, text, size);
	if (!parse_address(address, &range->first))
		return refuse(text, e);
	bits = range->first.any.sa_family == AF_INET6 ? 128 : 32;
	prefix = slash ? strtoul(slash + 1, &end, 10) : bits;
	if ((slash && (*end || slash[1] < '0' || slash[1] > '9')) || prefix > bits || prefix < 4)
		return refuse(text, e);
	range->count = bits - prefix > 14 ? MULTICAST_GROUPS : 1U << (bits - prefix);
	if (bits - prefix < 32)
		set_tail(&range->first,
			 get_tail(&range->first) & ~(uint32_t)((1ULL << (bits - prefix)) - 1));
	return 0;
}

union multicast_address multicast_group(const struct multicast_range *range, unsigned n)
{
	union multicast_address a = range->first;

	set_tail(&a, get_tail(&a) + n);
	/* The port is at the same place in both. */
	a.in4.sin_port = htons((uint16_t)(MULTICAST_PORT + 2 * n));
	return a;
}
