#!/bin/bash
# What the live loop of memnet tune costs: 8 spaces, default period and guard, objects coming and
# going and records with them, figures served. In namespaces of its own.
#
#   SECONDS_MEASURED=20 tests/bench/tune.sh
set -euo pipefail
[ "${1-}" = inside ] || {
	user=()
	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	exec unshare "${user[@]}" --mount --net --pid --fork --mount-proc "$0" inside
}

seconds=${SECONDS_MEASURED:-20}
: "${MEMNET:=build/memnet}"
mount -t tmpfs bench /tmp
busybox ip link set lo up 2>/dev/null || true
export MEMNET_RUNTIME_DIR=/tmp/run

spaces=()
for i in 1 2 3 4 5 6 7 8; do
	"$MEMNET" share create "vm$i/out" --size 64M --no-attach
	spaces+=("vm$i/out,min=16M,max=256M")
done

# cost PID: "CPU_NS RSS_KB DATA_KB"
cost() {
	local cpu
	read -r cpu _ <"/proc/$1/schedstat"
	awk -v cpu="$cpu" '/^VmRSS/ { rss = $2 } /^VmData/ { data = $2 } END { print cpu, rss, data }' "/proc/$1/status"
}

# Jobs: every half a second each space gets an object of 2 MB and a record, and loses the one before.
jobs() {
	local n=0 i root
	while sleep 0.5; do
		n=$((n + 1))
		for i in 1 2 3 4 5 6 7 8; do
			root=/tmp/run/vm$i/out
			head -c 2097152 /dev/zero >"$root/.memnet/part/$n.0"
			mv "$root/.memnet/part/$n.0" "$root/o$n"
			rm -f "$root/o$((n - 1))"
			echo "{\"schema\":1,\"id\":\"j$n\",\"kind\":\"compress\",\"status\":\"done\",\"arrival_ns\":1,\"start_ns\":2,\"end_ns\":300000000,\"blocked_ns\":0,\"cpu_ns\":0,\"bytes_in\":1,\"bytes_out\":2097152,\"objects\":1}" >"$root/.memnet/part/j$n"
			mv "$root/.memnet/part/j$n" "$root/.memnet/jobs/j$n.json"
		done
	done
}

# measure WHAT: the loop alone, for so many seconds
measure() {
	local pid before after
	"$MEMNET" tune --budget 2G --metrics /tmp/sock "${spaces[@]}" >/tmp/log &
	pid=$!
	sleep 5
	before=$(cost $pid)
	sleep "$seconds"
	after=$(cost $pid)
	echo "$before $after" | awk -v s="$seconds" -v what="$1" '{
		printf "%-28s %6.3f %% of a core  (gate 0.5)   %d kB resident  (gate 4096)   data %+d kB in %d s\n",
			what, ($4 - $1) / s / 1e7, $5, $6 - $3, s }'
	kill $pid
	wait $pid
}

echo "memnet tune, 8 spaces, period 2 s, guard 200 ms:"
measure "idle"
jobs &
worker=$!
measure "16 objects, records a second"
"$MEMNET" stream -q --listen http://127.0.0.1:8080 vm{1,2,3,4,5,6,7,8}/out &
stream=$!
until [ -e "/tmp/run/.stream/$stream.sock" ]; do sleep 0.1; done
before=$(cost $stream)
measure "the same, and a stream"
cost $stream | { read -r now _; awk -v t=$((now - ${before%% *})) -v s=$((seconds + 5)) 'BEGIN {
	printf "%-28s %6.3f %% of a core to the stream for its answers\n", "", t / s / 1e7 }'; }
kill $stream
kill $worker
wait $worker 2>/dev/null || true
