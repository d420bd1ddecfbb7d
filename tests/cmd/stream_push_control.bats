#!/usr/bin/env bats
# The control socket of memnet stream --push: what it tells of the space that is pushed, and rates
# that are lent to it. A space is a folder here. What a rate allows is a least time: a busy machine
# only makes it longer.

load push.bash

# ask LINE… — of $PUSHER; the answers.
ask() {
	printf '%s\n' "$@" | timeout 20 socat -t 20 - "UNIX-CONNECT:$BATS_TEST_TMPDIR/run/.stream/$PUSHER.sock,shut-down"
}

# is FIELD OP NUMBER — of vm1/out's line.
is() {
	test "$(ask get | sed -n "s/^space name=vm1\/out .*\<$1=\([0-9]*\).*/\1/p")" "$2" "$3"
}

random() {
	head -c "$1" /dev/urandom
}

setup_file() {
	command -v socat >/dev/null || skip "no socat"
}

@test "it tells what the peer takes: bytes, one client, what is left; and is gone at the end" {
	receiver slow
	random 20000000 | publish x
	pushing "tcp://127.0.0.1:$PORT" --release delivered vm1/out
	control=$BATS_TEST_TMPDIR/run/.stream/$PUSHER.sock
	[ "$(stat -c %a "$control")" = 600 ]
	[ "$(ask get | head -n 1)" = "stream pid=$PUSHER listen= rate=0 client=0 lease=0" ]
	until_true is sent -gt 0
	is clients = 1
	is edge = 0
	is backlog -gt 0
	is backlog -lt 20000000
	is released = 0
	kill -KILL "${PIDS[0]}"
	until_true grep -q 'failure 1' "$BATS_TEST_TMPDIR/err"
	kill "$PUSHER"
	wait "$PUSHER" || true
	gone "$control"
}

@test "what was delivered is counted, and nobody is a client when nothing is due" {
	receiver http
	pushing "http://127.0.0.1:$PORT" --release delivered vm1/out
	random 3000000 | publish x
	until_true gone "$D/x"
	until_true is clients = 0
	is sent -ge 3000000
	is sent -lt 3001000
	is released -ge 3000000
	is backlog = 0
}

@test "of a live object that is sent as far as it goes, the peer waits at the edge" {
	receiver http
	echo -n 1 >"$D/.memnet/live/l"
	echo -n first >"$D/l"
	pushing "http://127.0.0.1:$PORT" vm1/out
	until_true is edge = 1
	is clients = 1
	is backlog = 0
}

# delivers_in MS URL — what is pushed there with a lent rate of 1 MB/s takes so long at least
delivers_in() {
	local least=$1 url=$2 start

	pushing "$url" --release delivered vm1/out
	[ "$(ask 'rate total=1000000 lease=60000')" = end ]
	start=$(date +%s%N)
	random 1000000 | publish x
	until_true gone "$D/x"
	took=$((($(date +%s%N) - start) / 1000000))
	[ "$took" -ge "$least" ] || { echo "in $took ms: $url"; false; }
	kill "$PUSHER"
	wait "$PUSHER" || true
	rm -f "$SOCK"
}

@test "a rate that is lent holds: over TCP, over a UNIX socket, for HTTP" {
	receiver tcp
	delivers_in 900 "tcp://127.0.0.1:$PORT"
	receiver unix
	delivers_in 900 "unix://$SOCK"
	receiver http
	delivers_in 900 "http://127.0.0.1:$PORT"
}

@test "the least of the rates holds, none is above the options', and what lapses is void at once" {
	receiver tcp
	pushing "tcp://127.0.0.1:$PORT" --rate 4MB --release delivered vm1/out
	[[ $(ask get) == *" listen= rate=4000000 client=0 lease=0"* ]]
	ask 'rate total=9000000 client=9000000 lease=60000' >/dev/null
	[[ $(ask get) == *" rate=4000000 client=9000000 "* ]]
	# Its second 4 KiB would come after four seconds.
	[ "$(ask 'rate vm1/out total=1000 lease=60000')" = end ]
	is rate = 1000
	random 8000000 | publish x
	until_true is backlog -gt 7900000
	is sent -lt 100000
	ask 'rate vm1/out total=0' >/dev/null
	is rate = 0
	until_true gone "$D/x"
	[ "$(ask 'rate vm2/out total=5 lease=5')" = 'error that space is not served here' ]
}

@test "a stream that its clock paces is told of, and refuses a rate" {
	command -v ffmpeg >/dev/null || skip "no ffmpeg"
	python3 "$MEMNET_SRC/tests/host/datagrams.py" udp "$G" >"$G/port" 3>&- &
	PIDS+=($!)
	until_true test -s "$G/port"
	ffmpeg -v error -f lavfi -i testsrc=size=320x240:rate=25:duration=4 -c:v mpeg2video -f mpegts "$G/clip.ts"
	publish a.ts <"$G/clip.ts"
	pushing "udp://127.0.0.1:$(cat "$G/port")" --release delivered vm1/out
	until_true is sent -gt 0
	is clients = 1
	is backlog -gt 0
	[ "$(ask 'rate total=1000 lease=60000')" = "error datagrams go by their stream's clock: there is no rate to set" ]
	until_true gone "$D/a.ts"
	is sent = "$(($(stat -c %s "$G/clip.ts") / 188 * 188))"
	until_true is released -gt 0
}

@test "a folder that is no space has none; where none can be made it is pushed as well" {
	receiver tcp
	echo x >"$D/x"
	memnet stream --runtime-dir "$BATS_TEST_TMPDIR/run" --push "tcp://127.0.0.1:$PORT" --once "$D"
	gone "$BATS_TEST_TMPDIR/run/.stream"
	: >"$BATS_TEST_TMPDIR/run/.stream"
	run push "tcp://127.0.0.1:$PORT" --once vm1/out
	[ "$status" = 0 ]
	[[ $output == *"memnet tune will not find this stream"* ]]
}

@test "as another user, with the few rights that are left, it is gone at the end, too" {
	[ "$(id -u)" = 0 ] || skip "not root"
	receiver tcp
	pushing "tcp://127.0.0.1:$PORT" --user nobody vm1/out
	control=$BATS_TEST_TMPDIR/run/.stream/$PUSHER.sock
	ask get | grep -q '^end$'
	kill "$PUSHER"
	wait "$PUSHER"
	gone "$control"
}
