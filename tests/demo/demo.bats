#!/usr/bin/env bats
# ./build.sh demo leaves nothing behind: no process, no mount, no file, however it ends.
# shellcheck disable=SC2030,SC2031 # each test has its own pid

bats_require_minimum_version 1.5.0

setup_file() {
	: "${MEMNET_SRC:=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}"
	export MEMNET_SRC TMPDIR="$BATS_FILE_TMPDIR/tmp"
	mkdir "$TMPDIR"
	# Every process of a demo carries this in its environment.
	export DEMO_MARK="$BATS_FILE_TMPDIR.$$"
}

setup() {
	demo=$MEMNET_SRC/tests/demo/demo.sh
	files=$(left_files)
}

# By their names: other programs come and go meanwhile, with mounts and files of their own.
left_mounts() {
	grep -E ' memnet-demo |/memnet/demo' /proc/self/mountinfo || true
}

# Where the demo puts its files, were they not on its own tmpfs; and nobody else uses $TMPDIR.
left_files() {
	find /run/demo /mnt/demo /media/demo /srv/demo 2>/dev/null || true
	find "$TMPDIR" -mindepth 1
}

# The demo's processes that still run; a zombie has no environment, so it does not count.
left_processes() {
	grep -lszF "DEMO_MARK=$DEMO_MARK.$BATS_TEST_NUMBER" /proc/[0-9]*/environ || true
}

start_demo() {
	DEMO_MARK=$DEMO_MARK.$BATS_TEST_NUMBER "$demo" --quick >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	pid=$!
}

# Until the demo has said so much, or 300 s.
said() {
	local end=$((SECONDS + 300))

	until grep -qs "$1" "$BATS_TEST_TMPDIR/out"; do
		if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$pid"; then
			cat "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/err"
			return 1
		fi
		sleep 0.05
	done
}

# It did not simply go on to its end while we waited for the end of its processes.
cut_short() {
	run ! grep -q Results "$BATS_TEST_TMPDIR/out"
}

# Without a moment's grace: the demo has ended, so all of it has.
nothing_left() {
	[ -z "$(left_processes)" ]
	[ -z "$(left_mounts)" ]
	[ "$(left_files)" = "$files" ]
}

@test "run to its end, it delivers the input both ways and leaves nothing" {
	start_demo
	said 'qemu-system'
	[ -n "$(left_processes)" ]	# the mark works
	wait "$pid" || status=$?
	cat "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/err"
	[ "${status:-0}" = 0 ]
	grep -q "client's sha256 is the input's" "$BATS_TEST_TMPDIR/out"
	[ "$(grep -c 'job completion' "$BATS_TEST_TMPDIR/out")" = 3 ]
	grep -q 'exit 7' "$BATS_TEST_TMPDIR/out"
	[ ! -s "$BATS_TEST_TMPDIR/err" ]	# progress is for terminals
	nothing_left
}

@test "^C at its terminal in mid-job ends it with 130 and leaves nothing" {
	mkfifo "$BATS_TEST_TMPDIR/keys"
	# A shell's background processes ignore SIGINT, and so would all they start.
	DEMO_MARK=$DEMO_MARK.$BATS_TEST_NUMBER env --default-signal=INT script -qefc "'$demo' --quick" "$BATS_TEST_TMPDIR/out" \
		<"$BATS_TEST_TMPDIR/keys" >/dev/null 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	pid=$!
	exec {keys}>"$BATS_TEST_TMPDIR/keys"
	said 'nobody fetches yet'
	printf '\003' >&"$keys"
	status=0
	wait "$pid" || status=$?
	exec {keys}>&-
	[ "$status" = 130 ]
	grep -q 'nothing is left behind' "$BATS_TEST_TMPDIR/out"
	cut_short
	nothing_left
}

@test "ended by SIGTERM in mid-job, it says 143 and leaves nothing" {
	start_demo
	said 'nobody fetches yet'
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	[ "$status" = 143 ]
	cut_short
	nothing_left
}

@test "killed with SIGKILL in mid-job, it leaves nothing, and the next run works" {
	start_demo
	said 'nobody fetches yet'
	kill -KILL "$pid"
	wait "$pid" || true
	# Nobody is left to wait for the others' end.
	end=$((SECONDS + 120))
	until [ -z "$(left_processes)" ]; do
		[ "$SECONDS" -lt "$end" ]
		sleep 0.05
	done
	cut_short
	nothing_left

	start_demo
	wait "$pid"
	grep -q "client's sha256 is the input's" "$BATS_TEST_TMPDIR/out"
	nothing_left
}
