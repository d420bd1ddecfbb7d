# shellcheck shell=bash
# shellcheck disable=SC2034 # URL is for those who load this
# A server of the space vm1/out in a run-time folder of the test: for the tests of memnet stream.

# serve OPTION… — starts a server, $URL is where; the space is vm1/out unless operands follow "--".
serve() {
	memnet stream -v --runtime-dir "$BATS_TEST_TMPDIR/run" --listen http://127.0.0.1:0 "$@" \
		vm1/out 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	SERVER=$!
	until_true grep -q 'listening on' "$BATS_TEST_TMPDIR/err"
	URL=$(sed -n 's/.*listening on //p' "$BATS_TEST_TMPDIR/err")/vm1/out
}

stop() {
	kill "$SERVER" 2>/dev/null || true
	status=0
	wait "$SERVER" || status=$?
	SERVER=
	return "$status"
}

# until_true COMMAND… — for at most ten seconds.
until_true() {
	for _ in $(seq 500); do
		"$@" && return
		sleep 0.02
	done
	echo "still not: $*"
	return 1
}

get() {
	curl -sS --max-time 20 "$@"
}
