/* Packets that go together: what a peer takes a part of is sent on from there, each packet once. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/datagram.h"
#include "host/player.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#define PACKETS 3000 /* the last datagram is not full */

/* ---- the player ---- */

struct peer {
	struct player player;
	unsigned takes; /* in turn: all, none, one less than all, … */
	size_t largest;
	int at; /* the next packet of the stream */
	uint16_t sequence;
	bool odd, reported;
	enum player_state ended;
	int refuses_at; /* where it never takes anything again */
};

static void look_at(struct peer *peer, const uint8_t *packet, size_t size)
{
	const uint16_t sequence = (uint16_t)(packet[2] << 8 | packet[3]);

	peer->odd |= peer->at > 0 && sequence != (uint16_t)(peer->sequence + 1);
	peer->sequence = sequence;
	for (size_t i = RTP_HEAD; i < size; i += TS_PACKET) {
		int number;

		memcpy(&number, packet + i + 4, sizeof(number));
		peer->odd |= number != peer->at;
		peer->at++;
	}
}

static int take(struct player *p, const struct iovec packet[], size_t n, bool companion)
{
	struct peer *peer = container_of(p, struct peer, player);
	const size_t taken[] = {n, 0, n - 1, 1, n / 2};
	const size_t some = taken[peer->takes++ % 5];

	if (companion) {
		peer->reported = true;
		return 1;
	}
	if (peer->refuses_at && peer->at >= peer->refuses_at)
		return -ECONNREFUSED;
	peer->largest = n > peer->largest ? n : peer->largest;
	for (size_t i = 0; i + 1 < n; i++)
		peer->odd |= packet[i].iov_len != RTP_MAX;
	for (size_t i = 0; i < some; i++)
		look_at(peer, packet[i].iov_base, packet[i].iov_len);
	return (int)some;
}

static void turned(struct player *p)
{
	if (player_plays(p))
		return;
	container_of(p, struct peer, player)->ended = p->state;
	loop_stop(p->loop);
}

static void play(struct peer *peer, int fd)
{
	struct object o = {.fd = fd, .st.st_size = (off_t)PACKETS * TS_PACKET};
	struct loop loop = {0};

	peer->player.send = take;
	peer->player.turned = turned;
	if (loop_init(&loop) || player_init(&peer->player, &loop, &o))
		abort();
	rtp_start(&peer->player.rtp, 0, loop.now_ns);
	player_play(&peer->player);
	loop_run(&loop);
	player_fini(&peer->player);
	loop_fini(&loop);
}

static void test_parts(int fd)
{
	struct peer peer = {.ended = PLAYER_PLAYS}, refusing = {.refuses_at = 500};

	play(&peer, fd);
	is_int(peer.at, PACKETS, "all of it comes");
	ok(!peer.odd, "each packet once, in its order, and only the last is short");
	is_int((intmax_t)peer.largest, PLAYER_GROUP, "many go together");
	is_int(peer.ended, PLAYER_RESTS, "it rests at the end");
	ok(peer.reported, "and has said so");
	play(&refusing, fd);
	is_int(refusing.ended, PLAYER_BROKEN, "who refuses is sent nothing more");
	is_int(refusing.player.error, -ECONNREFUSED, "and it is told why");
}

/* ---- datagrams ---- */

#define MOST 60000

static uint8_t data[MOST];

/* Sends them together; whether they arrive one by one, as they were. */
static void datagrams(int from, int to, const struct sockaddr *address, size_t n, size_t each,
		      size_t last, const char *name)
{
	static uint8_t got[MOST];
	struct iovec packet[PLAYER_GROUP];
	bool same = true;

	for (size_t i = 0; i < n; i++)
		packet[i] = (struct iovec){data + i, i + 1 < n ? each : last};
	is_int(datagram_send(from, address, address ? sizeof(struct sockaddr_in) : 0, packet, n),
	       (intmax_t)n, "%s", name);
	for (size_t i = 0; i < n; i++) {
		const ssize_t size = recv(to, got, sizeof(got), 0);

		same &= size == (ssize_t)packet[i].iov_len && !memcmp(got, data + i, (size_t)size);
	}
	ok(same, "come as they were");
	ok(recv(to, got, sizeof(got), MSG_DONTWAIT) < 0, "and nothing else");
}

static int udp_socket(struct sockaddr_in *address)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 1 << 20;
	const struct timeval limit = {60, 0};
	socklen_t size = sizeof(*address);

	*address = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (bind(fd, (void *)address, size) || getsockname(fd, (void *)address, &size))
		abort();
	return fd;
}

static void test_datagrams(void)
{
	struct sockaddr_in to, own;
	const int there = udp_socket(&to), here = udp_socket(&own);
	const struct iovec packet[2] = {{data, 100}, {data, 100}};
	int n = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i >> 7);
	datagrams(here, there, (void *)&to, 1, 0, 1328, "one");
	datagrams(here, there, (void *)&to, PLAYER_GROUP, 1328, 1328, "a group");
	datagrams(here, there, (void *)&to, 5, 1328, 200, "a group with a short end");
	datagrams(here, there, (void *)&to, 3, 30000, 30000, "more than the kernel takes at once");
	if (connect(here, (void *)&to, sizeof(to)))
		abort();
	datagrams(here, there, NULL, 3, 1328, 1328, "to whom it is connected");
	close(there);
	for (int i = 0; i < 2 && n >= 0; i++)
		n = datagram_send(here, NULL, 0, packet, 2);
	is_int(n, -ECONNREFUSED, "nobody is there");
	close(here);
}

int main(void)
{
	const int root = scratch_open();
	const int fd = openat(root, "c.ts", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	for (int i = 0; i < PACKETS; i++) {
		uint8_t packet[TS_PACKET] = {0x47, 0x1f, 0xff, 0x10};

		memcpy(packet + 4, &i, sizeof(i));
		if (write(fd, packet, sizeof(packet)) != sizeof(packet))
			abort();
	}
	test_parts(fd);
	test_datagrams();
	return done_testing();
}
