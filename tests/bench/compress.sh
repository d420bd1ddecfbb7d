#!/bin/bash
# memnet compress against Debian's zstd on the same input: CPU time and memory at levels and threads, and many small
# files. Pairs are interleaved, and the medians compared.
#
#   tests/bench/compress.sh [RUNS] [MB]      5 runs of 64 MB of the kernel (or of /usr/lib)
set -eu

runs=${1:-5} megabytes=${2:-64}
memnet=${MEMNET:-build/memnet}
work=$(mktemp -d "${TMPDIR:-/dev/shm}/memnet-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

input() {
	cat "${MEMNET_GUEST:-build/guest}"/linux/boot/vmlinuz-* /usr/lib/x86_64-linux-gnu/*.so.* 2>/dev/null ||
		cat /usr/lib/*/*.so.*
}

# measure COMMAND…: "CPU-SECONDS WALL-SECONDS"
measure() {
	local TIMEFORMAT='%3U %3S %3R'

	{ time "$@" >/dev/null 2>&1; } 2>&1 | awk '{ printf "%.3f %s\n", $1 + $2, $3 }'
}

# peak COMMAND…: the most memory it had, in MB, looked at every 2 ms
peak() {
	local pid most=0 now

	"$@" >/dev/null 2>&1 &
	pid=$!
	while now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && [ "$now" ]; do
		most=$now
		sleep 0.002
	done
	wait "$pid"
	awk -v kb="$most" 'BEGIN { printf "%.1f", kb / 1024 }'
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# column N FILE: the median of its Nth column
column() {
	awk -v n="$1" '{ print $n }' "$2" | median
}

# pair NAME MEMNET-WORDS… -- ZSTD-WORDS…
pair() {
	local name=$1 ours=() theirs=()

	shift
	while [ "$1" != -- ]; do
		ours+=("$1")
		shift
	done
	shift
	theirs=("$@")
	: >"$work/ours"
	: >"$work/theirs"
	for _ in $(seq "$runs"); do
		prepare
		measure "$memnet" compress "${ours[@]}" >>"$work/ours"
		prepare
		measure zstd -q "${theirs[@]}" >>"$work/theirs"
	done
	prepare
	our_peak=$(peak "$memnet" compress "${ours[@]}")
	prepare
	their_peak=$(peak zstd -q "${theirs[@]}")
	awk -v n="$name" -v a="$(column 1 "$work/ours")" -v b="$(column 1 "$work/theirs")" \
		-v wa="$(column 2 "$work/ours")" -v wb="$(column 2 "$work/theirs")" \
		-v ma="$our_peak" -v mb="$their_peak" 'BEGIN {
		printf "%-22s %7.3f %7.3f %5.2f   %7.3f %7.3f %5.2f   %6.1f %6.1f\n", n, a, b, a / b, wa, wb, wa / wb, ma, mb }'
}

prepare() { :; }

input | head -c "${megabytes}M" >"$work/input" || true
echo "$runs runs, $(stat -c %s "$work/input") bytes, $(zstd --version | grep -o 'v[0-9.]*[0-9]'), $("$memnet" --version | sed -n 2p)"
printf '%-22s %7s %7s %5s   %7s %7s %5s   %6s %6s\n' '' 'CPU s' zstd ratio 'wall s' zstd ratio MB zstd
for threads in 1 2; do
	for level in 1 3 9; do
		pair "-$level -T$threads" -$level -T$threads -c "$work/input" -- -$level -T$threads -c "$work/input"
	done
done
head -c 12M "$work/input" >"$work/small"
for threads in 1 2; do
	pair "-19 -T$threads (12 MB)" -19 -T$threads -c "$work/small" -- -19 -T$threads -c "$work/small"
done
zstd -qf "$work/input"
pair "-d" -dc "$work/input.zst" -- -dc "$work/input.zst"

# 10,000 files of 100 to 4,000 bytes.
mkdir "$work/files"
perl -e 'open my $in, "<", $ARGV[0]; for my $i (0 .. 9999) {
	read $in, my $bytes, 100 + $i % 3900; open my $out, ">", "$ARGV[1]/$i"; print $out $bytes; }' "$work/input" "$work/files"
prepare() { find "$work/files" -name '*.zst' -delete; }
pair "-r, 10,000 files" -r "$work/files" -- -r "$work/files"
