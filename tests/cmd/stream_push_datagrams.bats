#!/usr/bin/env bats
# memnet stream --push to udp:// and rtp://, into real ffprobe and a receiver that looks at each datagram.

load push.bash

setup_file() {
	# The length of the last frame is said, so that a receiver can show it without a next one.
	ffmpeg -v error -f lavfi -i testsrc=size=320x240:rate=25:duration=2 -c:v mpeg2video -g 12 \
		-omit_video_pes_length 0 -f mpegts "$BATS_FILE_TMPDIR/clip.ts"
	# as a segmenter cuts: the second one's clock goes on where the first one's ends
	half=$(($(stat -c %s "$BATS_FILE_TMPDIR/clip.ts") / 376))
	head -c $((half * 188)) "$BATS_FILE_TMPDIR/clip.ts" >"$BATS_FILE_TMPDIR/1.ts"
	tail -c +$((half * 188 + 1)) "$BATS_FILE_TMPDIR/clip.ts" >"$BATS_FILE_TMPDIR/2.ts"
}

# receiver KIND [GROUP] — tests/host/datagrams.py; $PORT
receiver() {
	rm -f "$BATS_TEST_TMPDIR/port" # of an earlier one
	python3 "$MEMNET_SRC/tests/host/datagrams.py" "$1" "$G" "${@:2}" >"$BATS_TEST_TMPDIR/port" 3>&- &
	RECEIVER=$!
	PIDS+=("$RECEIVER")
	until_true test -s "$BATS_TEST_TMPDIR/port"
	PORT=$(cat "$BATS_TEST_TMPDIR/port")
}

got() {
	cat "$@" | cmp -s - "$G/got"
}

got_datagrams() {
	[ "$(stat -c %s "$G/got")" = $(($1 * 1316)) ]
}

# free_pair — the first of two of UDP that nobody has, below those that the kernel gives to who asks for any
free_pair() {
	python3 - <<-'END'
		import random, socket
		while True:
		    port = random.randrange(10000, 30000, 2)
		    try:
		        for n in 0, 1:
		            socket.socket(type=socket.SOCK_DGRAM).bind(('127.0.0.1', port + n))
		        break
		    except OSError:
		        pass
		print(port)
	END
}

# probe URL ARG… — in the background: the number of frames that ffprobe sees goes to $G/frames
probe() {
	timeout 30 ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames \
		-of default=nw=1:nk=1 "$@" 2>"$G/err" 3>&- | head -1 >"$G/frames" &
	PROBE=$!
}

bound() {
	grep -qi "$(printf ':%04X ' "$1")" /proc/net/udp
}

@test "udp: ffprobe has every frame of all objects" {
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/a.ts"
	publish b.ts <"$BATS_FILE_TMPDIR/clip.ts"
	port=$(free_pair)
	probe "udp://127.0.0.1:$port?timeout=6000000" # how it ends: that long nothing came
	until_true bound "$port"
	push "udp://127.0.0.1:$port" --once vm1/out
	wait $PROBE
	[ "$(cat "$G/frames")" = 100 ]
}

@test "rtp: ffprobe has every frame of all objects, and ends by itself" {
	cp "$BATS_FILE_TMPDIR/1.ts" "$D/1.ts"
	publish 2.ts <"$BATS_FILE_TMPDIR/2.ts"
	port=$(free_pair)
	printf '%s\n' v=0 'o=- 1 1 IN IP4 127.0.0.1' s=- 'c=IN IP4 127.0.0.1' 't=0 0' "m=video $port RTP/AVP 33" \
		>"$G/x.sdp"
	probe -protocol_whitelist file,udp,rtp "$G/x.sdp"
	until_true bound "$port"
	until_true bound $((port + 1))
	push "rtp://127.0.0.1:$port" --once vm1/out
	wait $PROBE
	[ "$(cat "$G/frames")" = 50 ]
}

@test "udp: in the order of publication, paced by the clock across objects" {
	receiver udp
	pushing "udp://127.0.0.1:$PORT" --release delivered 'vm1/out/*.ts'
	publish z.ts <"$BATS_FILE_TMPDIR/1.ts"
	publish a.ts <"$BATS_FILE_TMPDIR/2.ts"
	until_true gone "$D/a.ts"
	until_true got "$BATS_FILE_TMPDIR/clip.ts"
	gone "$D/z.ts"
	gone "$G/odd"
	# Its 50 frames take two seconds, and each half of the bytes its part of that. A machine that stands still makes it
	# longer by a few gaps; without the five longest it is never as long as at half the speed.
	awk '{ b += $2; t[NR] = $1; s[NR] = b; gap[NR] = $1 - t[NR - 1] }
		END { for (i = 1; s[i] <= b / 2; i++);
			for (all = t[NR]; n < 5; n++) {
				for (j = most = 1; j <= NR; j++) if (gap[j] > gap[most]) most = j
				all -= gap[most]; gap[most] = 0
			}
			print "half after", t[i], "all after", t[NR], "without the longest gaps", all
			exit !(t[i] > 0.4 && t[NR] - t[i] > 0.4 && t[NR] > 1.7 && all < 3.5) }' "$G/times"
}

@test "rtp: one numbered stream, reports, BYE when it ends" {
	receiver rtp
	cp "$BATS_FILE_TMPDIR/1.ts" "$D/1.ts"
	publish 2.ts <"$BATS_FILE_TMPDIR/2.ts"
	publish 3.ts <"$BATS_FILE_TMPDIR/clip.ts"
	push "rtp://127.0.0.1:$PORT" --once vm1/out
	until_true got "$BATS_FILE_TMPDIR"/{1,2,clip}.ts
	gone "$G/odd"
	until_true grep -q "$(wc -l <"$G/times") $(stat -c %s "$G/got") BYE" "$G/reports"
	[ "$(grep -c BYE "$G/reports")" = 1 ]
}

@test "a live object is sent as it grows, to its end" {
	receiver rtp
	echo -n 1 >"$D/.memnet/live/l.ts"
	head -c 50 "$BATS_FILE_TMPDIR/clip.ts" >"$D/l.ts"
	pushing "rtp://127.0.0.1:$PORT" --release delivered vm1/out
	tail -c +51 "$BATS_FILE_TMPDIR/1.ts" >>"$D/l.ts"
	until_true got_datagrams $(($(stat -c %s "$BATS_FILE_TMPDIR/1.ts") / 1316))
	cat "$BATS_FILE_TMPDIR/2.ts" >>"$D/l.ts"
	rm "$D/.memnet/live/l.ts"
	until_true gone "$D/l.ts"
	until_true got "$BATS_FILE_TMPDIR/clip.ts"
	gone "$G/odd"
}

@test "what cannot be delivered is kept: no stream, no clock, given up, cut off" {
	receiver udp
	echo text | publish x.txt
	head -c 1880 "$BATS_FILE_TMPDIR/clip.ts" | publish torn.ts
	python3 -c 'import sys; sys.stdout.buffer.write((b"G\0\x11\x10" + bytes(184)) * 1100)' | publish noclock.ts
	: | publish empty.ts
	run push "udp://127.0.0.1:$PORT" --once --release delivered vm1/out
	[ "$status" = 3 ]
	[[ $output == *"/vm1/out/x.txt: not an MPEG transport stream"* ]]
	[[ $output == *"/vm1/out/empty.ts: not an MPEG transport stream"* ]]
	[[ $output == *"/vm1/out/noclock.ts: a transport stream without a clock"* ]]
	[ -e "$D/x.txt" ]
	[ -e "$D/noclock.ts" ]
	[ -e "$D/empty.ts" ]
	gone "$D/torn.ts"
	head -c 1880 "$BATS_FILE_TMPDIR/clip.ts" >"$BATS_TEST_TMPDIR/torn"
	until_true got "$BATS_TEST_TMPDIR/torn"

	rm "$D"/*
	echo -n 1 >"$D/.memnet/live/l.ts"
	cat "$BATS_FILE_TMPDIR/1.ts" >"$D/l.ts"
	pushing "udp://127.0.0.1:$PORT" --release delivered vm1/out
	: >"$G/got"
	until_true test -s "$G/got"
	: >"$D/l.ts"
	until_true grep -q 'l.ts to .*given up, or was killed' "$BATS_TEST_TMPDIR/err"
	[ -e "$D/l.ts" ]
}

@test "where nobody listens nothing is delivered; who comes late has it all" {
	port=$(free_pair)
	publish a.ts <"$BATS_FILE_TMPDIR/clip.ts"
	run push "udp://127.0.0.1:$port" --once --release delivered vm1/out
	[ "$status" = 1 ]
	[[ $output == *"Connection refused"*"1 objects not delivered, 0 delivered"* ]]
	[ -e "$D/a.ts" ]
	pushing "udp://127.0.0.1:$port" --release delivered vm1/out
	until_true grep -q 'failure 2' "$BATS_TEST_TMPDIR/err"
	timeout 20 socat -u "UDP-RECV:$port,bind=127.0.0.1" - >"$G/got" 3>&- &
	PIDS+=($!)
	until_true gone "$D/a.ts"
	until_true got "$BATS_FILE_TMPDIR/clip.ts"
}

# Multicast, in a network namespace of its own.
# by_way ARG… — in a network of its own, whose lo is given these
by_way() {
	ip link set lo up mtu "$1"
	[ $# = 1 ] || tc qdisc add dev lo root "${@:2}"
	receiver udp
	push "udp://127.0.0.1:$PORT" --once vm1/out
	until_true got "$D/fast.ts"
	kill "$RECEIVER"
}

@test "udp: a way that is too slow, or too narrow for a datagram, loses none" {
	unshare -Urn true || skip "no network namespaces here"
	ffmpeg -v error -f lavfi -i testsrc2=size=640x360:rate=25:duration=2 -c:v mpeg2video -b:v 8M -minrate 8M -maxrate 8M \
		-bufsize 2M -muxrate 9M -f mpegts "$D/fast.ts"
	export -f by_way receiver push until_true got
	export D G BATS_TEST_TMPDIR
	unshare -Urn bash -ec 'by_way 1200'
	rm "$G"/*
	unshare -Urn bash -ec 'by_way 65536 tbf rate 6mbit burst 16k limit 4m'
}

in_namespace() {
	local port
	ip link set lo up multicast on
	ip route add 239.0.0.0/8 dev lo
	receiver rtp 239.9.9.9
	publish a.ts <"$BATS_FILE_TMPDIR/1.ts"
	push "rtp://239.9.9.9:$PORT" "$@" --once vm1/out
	until_true got "$BATS_FILE_TMPDIR/1.ts"
	until_true grep -q BYE "$G/reports"
	kill "$RECEIVER"
}

@test "multicast, with a TTL and an interface" {
	unshare -Urn true || skip "no network namespaces here"
	export -f in_namespace receiver publish push until_true got
	export D G BATS_FILE_TMPDIR BATS_TEST_TMPDIR
	unshare -Urn bash -ec in_namespace
	[ "$(cat "$G/ttl")" = 1 ]
	rm "$G"/*
	unshare -Urn bash -ec 'in_namespace --ttl 7 --interface lo'
	[ "$(cat "$G/ttl")" = 7 ]
	gone "$G/odd"
}

@test "no socket can be opened any more, and options are checked" {
	pushing "udp://127.0.0.1:$(free_pair)" vm1/out
	grep -q '^Seccomp:.2' "/proc/$PUSHER/status"
	run push udp://127.0.0.1:9 --rate 1MB vm1/out
	[[ $status = 2 && $output == *"go by their stream's clock"* ]]
	run push udp://127.0.0.1:9 --congestion cubic vm1/out
	[[ $status = 2 && $output == *"TCP's"* ]]
	run push udp://127.0.0.1:9 --interface lo vm1/out
	[[ $status = 2 && $output == *"is for multicast"* ]]
	run push udp://239.1.1.1:9 --interface none vm1/out
	[[ $status = 2 && $output == *"no such interface"* ]]
	run push tcp://127.0.0.1:9 --ttl 2 vm1/out
	[[ $status = 2 && $output == *"--ttl and --interface are for --push udp"* ]]
	for url in udp://x udp://x:1/y rtp://127.0.0.1:65535; do
		run push "$url" vm1/out
		[[ $status = 2 && $output == *"bad URL"* ]]
	done
}
