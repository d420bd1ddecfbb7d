#!/bin/bash
# memnet stream --rtsp against live555's media server (LIVE555=FILE, or found by its name): CPU time of the server
# by GB of the same MPEG-TS, by UDP and in the RTSP connection, in turns, medians of ROUNDS (5). As root: all of it
# runs in a network namespace of its own.
#
#   tests/run -- tests/bench/rtsp.sh
#
# The server runs on one core and its clients on another.
set -eu
cd "$(dirname "$0")/../.."
ROUNDS=${ROUNDS:-5}
CLIENTS=${CLIENTS:-64}
MEMNET=${MEMNET:-build/memnet}
LIVE555=${LIVE555:-$(command -v live555MediaServer || true)}
[ "$(id -u)" = 0 ] || { echo "rtsp.sh: not root: skipped" && exit; }
command -v ffmpeg >/dev/null || { echo "rtsp.sh: no ffmpeg: skipped" && exit; }

work=$(mktemp -d)
space=memnet-bench-$$
server=

# shellcheck disable=SC2317 # called by the trap
cleanup() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	wait
	ip netns del "$space" 2>/dev/null || true
	umount "$work/www" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

ip netns add "$space"
ip -n "$space" link set lo up
mkdir "$work/www"
mount -t tmpfs -o size=64m memnet-bench "$work/www"
chmod 755 "$work" "$work/www"
ffmpeg -v error -f lavfi -i testsrc2=size=640x360:rate=25:duration=15 -c:v mpeg2video -b:v 8M -minrate 8M -maxrate 8M \
	-bufsize 4M -g 12 -muxrate 9M -f mpegts "$work/www/c.ts" </dev/null

# serve NAME — its pid in $server, the object's URL in $url.
serve() {
	case $1 in
	memnet)
		ip netns exec "$space" taskset -c 0 "$MEMNET" stream --listen http://127.0.0.1:0 --rtsp 127.0.0.1:8555 \
			"$work/www" >"$work/log" 2>&1 &
		url=rtsp://127.0.0.1:8555/www/c.ts
		;;
	live555)
		(cd "$work/www" && exec ip netns exec "$space" taskset -c 0 "$LIVE555" >"$work/log" 2>&1) &
		url=rtsp://127.0.0.1:554/c.ts
		;;
	esac
	server=$!
	local port=${url#*:*:}
	for _ in $(seq 100); do
		ip netns exec "$space" bash -c "exec 3<>/dev/tcp/127.0.0.1/${port%%/*}" 2>/dev/null && return
		sleep 0.05
	done
	cat "$work/log" && exit 1
}

stop() {
	kill "$server"
	wait "$server" 2>/dev/null || true
	server=
}

median() {
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

servers=memnet
[ -z "$LIVE555" ] || servers="$servers live555"
for transport in udp tcp; do
	for _ in $(seq "$ROUNDS"); do
		for s in $servers; do
			serve "$s"
			ip netns exec "$space" taskset -c 1 python3 tests/bench/rtsp_load.py "$server" "$url" "$CLIENTS" $transport 8 >"$work/out"
			awk '{ print $1 / $2 * 1e3, $2 / 8e6 }' "$work/out" >>"$work/$transport.$s"
			stop
		done
	done
	for s in $servers; do
		awk -v t="$transport" -v s="$s" -v v="$(cut -d' ' -f1 "$work/$transport.$s" | median)" \
			-v m="$(cut -d' ' -f1 "$work/$transport.memnet" | median)" \
			-v rate="$(cut -d' ' -f2 "$work/$transport.$s" | median)" 'BEGIN {
				printf "%-8s %-12s %9.3f s/GB", t, s, v
				if (s != "memnet") printf " ratio %.2f", m / v
				printf "  (%.1f MB/s)\n", rate }'
	done
done
