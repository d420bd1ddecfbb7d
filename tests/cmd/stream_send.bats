#!/usr/bin/env bats
# memnet stream's paths into a socket (core/host/sender.h), with real curl: what a client gets is the
# object, by whichever way, or a broken transfer.

load stream.bash

setup() {
	stream_begin
	mount -t tmpfs -o size=128m memnet-test "$D" 2>/dev/null || skip "needs a tmpfs"
	space_folders
}

teardown() {
	stream_end
	umount -l "$D" 2>/dev/null || true
}

mapped() {
	grep -q "/out/$1\$" "/proc/$SERVER/maps"
}

# mapped_by_use NAME — asks for it until the server has it mapped.
mapped_by_use() {
	until_true eval "get -o /dev/null '$URL/$1' && mapped '$1'"
}

@test "what is asked for again is mapped, and every client gets it whole, fast or slow" {
	head -c 30000000 /dev/urandom >"$D/x"
	serve
	mapped_by_use x
	clients=()
	for i in 1 2 3 4 5 6; do
		get -o "$BATS_TEST_TMPDIR/$i" "$URL/x" 3>&- &
		clients+=($!)
	done
	get --limit-rate 20M "$URL/x" | cmp - "$D/x"
	wait "${clients[@]}"
	for i in 1 2 3 4 5 6; do cmp "$BATS_TEST_TMPDIR/$i" "$D/x"; done
	get -r 12345678-23456789 "$URL/x" | cmp - <(tail -c +12345679 "$D/x" | head -c 11111112)
	get -r -100000 "$URL/x" | cmp - <(tail -c 100000 "$D/x")
}

@test "huge pages: the same" {
	umount "$D"
	mount -t tmpfs -o size=128m,huge=within_size memnet-test "$D" || skip "needs huge pages in tmpfs"
	mkdir -p "$D/.memnet/live"
	head -c 30000000 /dev/urandom >"$D/x"
	serve
	mapped_by_use x
	get "$URL/x" "$URL/x" | cmp - <(cat "$D/x" "$D/x")
}

@test "mapped and truncated in flight: a broken transfer; the server goes on" {
	head -c 30000000 /dev/urandom >"$D/x"
	head -c 3000000 /dev/urandom >"$D/y"
	serve
	mapped_by_use x
	begin_slowly 4M x
	truncate -s 1000 "$D/x"
	run wait "$FETCHER"
	[ "$status" -ne 0 ]
	[ "$status" -ne 28 ]
	get "$URL/x" | cmp - "$D/x"
	get "$URL/y" "$URL/y" | cmp - <(cat "$D/y" "$D/y")
}

@test "mapped, punched, overwritten and grown by the guest: as much as announced, never a stop" {
	head -c 30000000 /dev/urandom >"$D/x"
	serve
	mapped_by_use x
	begin_slowly 20M x
	fallocate -p -o 8192 -l 20000000 "$D/x"
	echo new | dd of="$D/x" bs=1 seek=25000000 conv=notrunc status=none
	head -c 1000000 /dev/zero >>"$D/x"
	wait "$FETCHER"
	[ "$(wc -c <"$BATS_TEST_TMPDIR/x")" = 30000000 ]
	get "$URL/x" | cmp - "$D/x"
}

@test "mapped and replaced: the old one to its end, then the new one" {
	head -c 30000000 /dev/urandom >"$D/x"
	cp "$D/x" "$BATS_TEST_TMPDIR/old"
	serve
	mapped_by_use x
	begin_slowly 20M x
	echo new >"$D/.memnet/part/x"
	mv "$D/.memnet/part/x" "$D/x"
	[ "$(get "$URL/x")" = new ]
	wait "$FETCHER"
	cmp "$BATS_TEST_TMPDIR/x" "$BATS_TEST_TMPDIR/old"
}

@test "clients that go away in the middle leave nothing to the next ones" {
	head -c 30000000 /dev/urandom >"$D/x"
	head -c 20000000 /dev/urandom >"$D/y"
	serve
	mapped_by_use x
	mapped_by_use y
	for i in 1 2 3 4 5 6 7 8; do
		curl -s --limit-rate 30M --max-time 0.$i -o /dev/null "$URL/x" 3>&- &
	done
	for _ in 1 2 3 4; do get "$URL/y" | cmp - "$D/y"; done
	get "$URL/x" | cmp - "$D/x"
}

@test "what is to be released is not mapped, and a space can be unmounted a moment after" {
	head -c 3000000 /dev/urandom >"$D/x"
	serve --release ttl:60s
	for _ in 1 2 3 4 5; do get -o /dev/null "$URL/x" && sleep 0.03; done
	run mapped x
	[ "$status" -ne 0 ]
	stop
	serve
	mapped_by_use x
	until_true umount "$D"
}

@test "congestion control: cubic, where it can be had" {
	head -c 30000000 /dev/urandom >"$D/x"
	grep -q cubic /proc/sys/net/ipv4/tcp_available_congestion_control || skip "no cubic"
	[ "$(id -u)" = 0 ] || skip "needs root"
	serve
	curl -s --limit-rate 1M --max-time 20 -o /dev/null "$URL/x" 3>&- &
	client=$!
	port=${URL#*:*:}
	until_true eval "ss -tin state established 'sport = :${port%%/*}' | grep -q cubic"
	kill "$client"
}
