#!/usr/bin/env bats
# memnet's main job, end to end: a guest compresses into a space smaller than the result, the host streams meanwhile.

bats_require_minimum_version 1.5.0

load ../until.bash

setup_file() {
	load vm.sh
	vm_setup_memnet
	# Text and noise, so that the result is some 12 MB.
	{
		head -c 9000000 /dev/urandom
		seq 1000000
		head -c 3000000 /dev/urandom
	} >"$VM_DIR/input"
	vm_add "$VM_DIR/input" /input
	vm_start_memnet demo
	vm_wait_boot demo
	vm_host "$MEMNET" share create demo/out --size 4M
	vm_run demo 'memnet share mount'
	vm_host setpriv --pdeathsig KILL "$MEMNET" stream --listen http://127.0.0.1:8080 --release delivered demo/out \
		>"$VM_DIR/stream.log" 2>&1 3>&- &
	export stream=$!
	until_true vm_host curl -s -o /dev/null http://127.0.0.1:8080/
}

teardown_file() {
	load vm.sh
	kill -TERM "$stream" 2>/dev/null || true
	vm_teardown
}

setup() {
	load vm.sh
	space=$MEMNET_RUNTIME_DIR/demo/out
}

on_host() {
	vm_host test "$@"
}

fetch() {
	vm_host curl -sS --fail --max-time 300 "http://127.0.0.1:8080/demo/out/$1"
}

sum_of() {
	sha256sum <"$1"
}

space_is_full() {
	[ "$(vm_host stat -f -c '%f' "$space")" -le 256 ]
}

@test "what the client gets while the job runs decompresses to the input" {
	vm_run demo 'memnet compress -1 --live --to /mnt/memnet/out -o live.zst /input' 3>&- &
	job=$!
	until_true on_host -e "$space/live.zst"
	fetch live.zst >"$BATS_TEST_TMPDIR/got"
	wait "$job"
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/got")" -gt $((8 * 1024 * 1024)) ]	# more than the space ever had room for
	[ "$(zstd -dc "$BATS_TEST_TMPDIR/got" | sha256sum)" = "$(sum_of "$VM_DIR/input")" ]
}

@test "without a client the job waits, resizing lets it go on, and nothing is lost" {
	vm_run demo 'memnet compress -1 --live --to /mnt/memnet/out -o waits.zst /input' 3>&- &
	job=$!
	until_true space_is_full
	vm_host "$MEMNET" share resize demo/out 6M
	until_true space_is_full
	kill -0 "$job"
	run -7 vm_host "$MEMNET" share resize demo/out 2M
	fetch waits.zst >"$BATS_TEST_TMPDIR/got" 3>&- &
	client=$!
	until_true vm_host "$MEMNET" share resize demo/out 3M
	wait "$client"
	wait "$job"
	[ "$(zstd -dc "$BATS_TEST_TMPDIR/got" | sha256sum)" = "$(sum_of "$VM_DIR/input")" ]
	vm_host "$MEMNET" share resize demo/out 4M
}

@test "what was delivered is released: the object is gone and its memory too" {
	vm_run demo 'head -c 1000000 /dev/urandom >/tmp/small; memnet compress -1 --to /mnt/memnet/out -o small.zst /tmp/small'
	on_host -f "$space/small.zst"
	fetch small.zst | zstd -dc | sha256sum >"$BATS_TEST_TMPDIR/sum"
	[ "$(cat "$BATS_TEST_TMPDIR/sum")" = "$(vm_run demo 'cat /tmp/small' | sha256sum)" ]
	until_true on_host ! -e "$space/small.zst"
	run -22 fetch small.zst
	[ "$(vm_host du -sk "$space" | cut -f 1)" -lt 100 ]
}

@test "a guest killed in mid-job does not end the client's download as if it were whole" {
	vm_run demo 'memnet compress -1 --live --to /mnt/memnet/out -o cut.zst /input' 3>&- 2>/dev/null &
	until_true space_is_full
	vm_kill demo
	run ! fetch cut.zst
}
