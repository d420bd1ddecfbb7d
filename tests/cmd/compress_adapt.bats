#!/usr/bin/env bats
# shellcheck disable=SC1091 # sourced by a variable path
# memnet compress --adapt with real drains: memnet stream sends a live object out of a small space to a client, slowly or
# at full speed, and the level ends accordingly; with memnet tune, that tells it the drain, and without.

bats_require_minimum_version 1.5.0

load ../until.bash

setup_file()
{
	type curl busybox >/dev/null 2>&1 || skip "no curl or busybox"
	export VM_DIR=$BATS_FILE_TMPDIR
	source "$BATS_TEST_DIRNAME/../guest/vm.sh"
	vm_host_open || skip "no namespaces"
	export MEMNET_RUNTIME_DIR=$VM_DIR/run
	{ cat /usr/lib/*/*.so.* || true; } 2>/dev/null | head -c 64M >"$VM_DIR/input" || true
	vm_host "$MEMNET" share create vm1/out --size 2M --no-attach
}

teardown_file()
{
	source "$BATS_TEST_DIRNAME/../guest/vm.sh"
	vm_host_close
}

setup()
{
	source "$BATS_TEST_DIRNAME/../guest/vm.sh"
	export MEMNET_CONF=$BATS_TEST_TMPDIR/conf
	: >"$MEMNET_CONF"
	space=$MEMNET_RUNTIME_DIR/vm1/out
	ERR=$BATS_TEST_TMPDIR/err
	PIDS=()
}

teardown()
{
	end_all
}

# A process of ours in the namespace; end_all ends it.
begin()
{
	"${VM_ENTER[@]}" "$MEMNET" "$@" >>"$ERR" 2>&1 3>&- 4>&- &
	PIDS+=($!)
}

end_all()
{
	local pid

	for pid in "${PIDS[@]}"; do
		kill -TERM "$pid" 2>/dev/null || true
		wait "$pid" || true
	done
	PIDS=()
}

reached()
{
	vm_host curl -s -o /dev/null http://127.0.0.1:8080/
}

in_space()
{
	vm_host test -e "$space/$1"
}

# Compresses so much of the input with WORDS… to a client that takes it at RATE.
#	level RATE SIZE WORDS…: $LEVEL, at the end
level()
{
	local rate=$1 job

	head -c "$2" "$VM_DIR/input" >"$BATS_TEST_TMPDIR/input"
	shift 2
	begin stream --listen http://127.0.0.1:8080 --release delivered --rate "$rate" vm1/out
	until_true reached
	vm_host timeout 600 "$MEMNET" compress -vj --adapt "$@" --live --to "$space" -o x.zst "$BATS_TEST_TMPDIR/input" \
		>"$BATS_TEST_TMPDIR/json" 2>"$BATS_TEST_TMPDIR/levels" 3>&- 4>&- &
	job=$!
	until_true in_space x.zst
	vm_host curl -sS --max-time 600 http://127.0.0.1:8080/vm1/out/x.zst >"$BATS_TEST_TMPDIR/got"
	wait "$job"
	zstd -dcq "$BATS_TEST_TMPDIR/got" | cmp - "$BATS_TEST_TMPDIR/input"
	LEVEL=$(sed -n 's/.*"level":\([0-9]*\).*/\1/p' "$BATS_TEST_TMPDIR/json")
	cat "$BATS_TEST_TMPDIR/levels" "$BATS_TEST_TMPDIR/json"
	end_all
}

@test "a slow client makes --adapt end at a higher level than a fast one does" {
	level 500KB 24M -1
	slow=$LEVEL
	level 10GB 64M -9
	[ "$slow" -gt "$LEVEL" ]
	[ "$LEVEL" -lt 9 ]
}

@test "and so it does where memnet tune tells the drain" {
	tune=(tune -j --set period=400ms --set guard=50ms "vm1/out,min=2M,max=2M")
	begin "${tune[@]}"
	until_true in_space .memnet/pace
	level 500KB 24M -1
	slow=$LEVEL
	begin "${tune[@]}"
	until_true in_space .memnet/pace
	level 10GB 64M -9
	[ "$slow" -gt "$LEVEL" ]
	[ "$LEVEL" -lt 9 ]
}
