# shellcheck shell=bash
# shellcheck disable=SC2034 # PORT and SOCK are for those who load this
# Pushing the space vm1/out of a run-time folder of the test: for the tests of memnet stream --push.

load stream.bash

setup() {
	stream_begin
	G=$BATS_TEST_TMPDIR/got
	mkdir "$G"
}

push() {
	memnet stream -v --runtime-dir "$BATS_TEST_TMPDIR/run" --push "$@"
}

# pushing ARG… — in the background, $PUSHER.
pushing() {
	: >"$BATS_TEST_TMPDIR/err"
	memnet stream -v --runtime-dir "$BATS_TEST_TMPDIR/run" --push "$@" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	PUSHER=$!
	PIDS+=("$PUSHER")
	until_true grep -q 'pushing' "$BATS_TEST_TMPDIR/err"
}

# receiver KIND — tests/host/receiver.py; $PORT, or the socket $SOCK for unix
receiver() {
	rm -f "$BATS_TEST_TMPDIR/port"
	python3 "$MEMNET_SRC/tests/host/receiver.py" "$1" "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/port" 3>&- &
	PIDS+=($!)
	until_true test -s "$BATS_TEST_TMPDIR/port"
	PORT=$(cat "$BATS_TEST_TMPDIR/port")
	SOCK=$BATS_TEST_TMPDIR/sock
}

# publish NAME — what comes on stdin, as memnet compress does it
publish() {
	cat >"$D/.memnet/part/p"
	mkdir -p "$(dirname "$D/$1")"
	mv "$D/.memnet/part/p" "$D/$1"
}
