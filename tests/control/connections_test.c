/* The streams' connections: a question that fails once is asked again. */
#include "control/connections.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "tests/control/fake_netlink.h"
#include "tests/tap.h"

static int asked, failing; /* failing: -errno of the next question, by IPv4 */

static int fake_answer(const struct nlmsghdr *request, fake_taker taker, void *cookie)
{
	const struct inet_diag_req_v2 *q = NLMSG_DATA(request);
	const struct inet_diag_msg socket = {.idiag_wqueue = 1000};
	const struct tcp_info info = {.tcpi_rtt = 20000, .tcpi_delivery_rate = 5000000};
	int err = failing;

	asked++;
	if (q->sdiag_family == AF_INET6)
		return -ENOENT;
	/* Some of the answer may be here before the rest fails. */
	fake_tell(taker, cookie, SOCK_DIAG_BY_FAMILY, &socket, sizeof(socket), INET_DIAG_INFO,
		  &info, sizeof(info));
	failing = 0;
	if (err)
		return err;
	fake_tell(taker, cookie, SOCK_DIAG_BY_FAMILY, &socket, sizeof(socket), INET_DIAG_INFO,
		  &info, sizeof(info));
	return 0;
}

static void looks(void)
{
	struct connections c;

	connections_open(&c);
	connections_look(&c, 8080);
	ok(c.count == 2 && c.unacked_bytes == 2000, "two clients, over IPv4 only");
	ok(c.delivery_bps == 5e6 && c.round_trip_s == 0.02, "how fast their paths are");
	connections_look(&c, 0);
	is_int(c.count, 0, "none without a port");
	connections_close(&c);
	is_int(fake_opened, 0, "closed");
}

/* Whatever comes of one question, the next one is a new one. */
static void fails(int err, const char *what, bool lasting)
{
	struct connections c;

	connections_open(&c);
	failing = err;
	connections_look(&c, 8080);
	is_int(c.count, 0, "%s: half an answer is none", what);
	ok(c.round_trip_s == 0 && c.unacked_bytes == 0, "%s: of any figure", what);
	asked = 0;
	connections_look(&c, 8080);
	if (lasting)
		is_int(asked, 0, "%s: nothing is asked again", what);
	else
		is_int(c.count, 2, "%s: the next one is answered", what);
	connections_close(&c);
	is_int(fake_opened, 0, "%s: closed", what);
}

static void kernel_without(void)
{
	struct connections c;

	fake_absent = true;
	connections_open(&c);
	asked = 0;
	connections_look(&c, 8080);
	is_int(asked, 0, "no sock_diag: nothing is asked");
	connections_close(&c);
}

int main(void)
{
	looks();
	fails(-EAGAIN, "no answer in time", false);
	fails(-EBUSY, "an answer still under way", false);
	fails(-ENOBUFS, "no room for the answer", false);
	fails(-ENOENT, "no tcp_diag", true);
	fails(-EOPNOTSUPP, "not supported", true);
	fails(-EINVAL, "an old kernel", true);
	kernel_without();
	return done_testing();
}
