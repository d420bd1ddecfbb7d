#!/bin/bash
# memnet compress --adapt against fixed levels: seconds until a client has the last byte of a live object, with memnet
# stream draining a small space at several rates. Interleaved, medians; the level is the one at the end.
#
#	tests/bench/adapt.sh [RUNS] [MB] [RATE…]      3 runs of 64 MB at 2MB, 20MB and 10GB a second
set -eu

runs=${1:-3} megabytes=${2:-64}
[ $# -gt 2 ] && rates=("${@:3}") || rates=(2MB 20MB 10GB)
export memnet=${MEMNET:-build/memnet}
work=$(mktemp -d "${TMPDIR:-/dev/shm}/memnet-adapt.XXXXXX")
export work
trap 'rm -rf "$work"' EXIT
{ cat /usr/lib/*/*.so.* || true; } 2>/dev/null | head -c "${megabytes}M" >"$work/input" || true

# once RATE WORDS…: "SECONDS LEVEL", in namespaces of its own
once() {
	# shellcheck disable=SC2016 # expanded inside
	unshare -Urmn --propagation private timeout 300 bash -ec '
		rate=$1
		shift
		busybox ip link set lo up
		mkdir -p "$work/space"
		mount -t tmpfs -o size=8M space "$work/space"
		mkdir -p "$work"/space/.memnet/{part,live,jobs}
		"$memnet" stream --listen http://127.0.0.1:8080 --release delivered --rate "$rate" "$work/space" 2>/dev/null &
		server=$!
		trap "kill $server" EXIT
		until curl -s -o /dev/null http://127.0.0.1:8080/; do sleep 0.02; done
		begin=$(date +%s%N)
		"$memnet" compress -j "$@" --live --to "$work/space" -o x.zst "$work/input" >"$work/json" &
		job=$!
		until [ -e "$work/space/x.zst" ]; do sleep 0.002; done
		curl -s http://127.0.0.1:8080/space/x.zst >"$work/got"
		end=$(date +%s%N)
		wait $job
		zstd -dcq "$work/got" | cmp - "$work/input"
		level=$(sed -n "s/.*\"level\":\([0-9]*\).*/\1/p" "$work/json")
		echo "$(((end - begin) / 1000000)) ${level:-0}"' - "$@"
}

for rate in "${rates[@]}"; do
	for _ in $(seq "$runs"); do
		for words in -1 -3 -9 -15 "-3 --adapt" "-3 --adapt -T2"; do
			# shellcheck disable=SC2086 # words
			echo "$(once "$rate" $words) $words"
		done
	done | sort -k3 -k1n | awk -v rate="$rate" -v runs="$runs" '{
		words = $3 " " $4 " " $5
		if (++n[words] == int((runs + 1) / 2))
			printf "%6s  %-16s %7.2f s%s\n", rate, words, $1 / 1000, ($2 > 0 ? "  ends at level " $2 : "") }'
done
