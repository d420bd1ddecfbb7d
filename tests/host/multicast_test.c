/* Ranges of multicast groups: what is taken, and which group is which. */
#include "host/multicast.h"

#include <arpa/inet.h>
#include <string.h>

#include "tests/tap.h"

static struct multicast_range range(const char *text, int want)
{
	struct multicast_range r;

	is_int(multicast_range_parse(text, &r, NULL), want, "%s", text);
	return r;
}

static void is_group(const struct multicast_range *r, unsigned n, const char *want, int port)
{
	const union multicast_address a = multicast_group(r, n);
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(a.any.sa_family,
		  a.any.sa_family == AF_INET6 ? (const void *)&a.in6.sin6_addr
					      : (const void *)&a.in4.sin_addr,
		  text, sizeof(text));
	is_str(text, want, "group %u", n);
	is_int(ntohs(a.any.sa_family == AF_INET6 ? a.in6.sin6_port : a.in4.sin_port), port,
	       "its port");
}

int main(void)
{
	struct multicast_range r = range("239.192.7.9/24", 0);

	is_int(r.count, 256, "so many");
	is_group(&r, 0, "239.192.7.0", 5004);
	is_group(&r, 255, "239.192.7.255", 5514);
	r = range("239.255.255.255", 0);
	is_int(r.count, 1, "one");
	is_group(&r, 0, "239.255.255.255", 5004);
	r = range("239.0.0.0/8", 0);
	is_int(r.count, MULTICAST_GROUPS, "no more than there are ports for");
	is_group(&r, r.count - 1, "239.0.63.255", 37770);
	r = range("ff15::7:1/112", 0);
	is_int(r.count, MULTICAST_GROUPS, "of IPv6");
	is_group(&r, 258, "ff15::7:102", 5520);
	range("ff15::/16", 0);
	range("10.0.0.0/8", -22);
	range("fe80::1", -22);
	range("239.1.1.1/33", -22);
	range("239.1.1.1/-1", -22);
	range("239.1.1.1/", -22);
	range("239.1.1.1/24x", -22);
	range("239.1.1", -22);
	range("0.0.0.0/0", -22);
	range("", -22);
	range("ff15:1111:1111:1111:1111:1111:1111:1111:1111:1111/8", -22);
	return done_testing();
}
