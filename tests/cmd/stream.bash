# shellcheck shell=bash
# shellcheck disable=SC2034 # URL and FETCHER are for those who load this
# A server of the space vm1/out in a run-time folder of the test: for the tests of memnet stream. The space is a folder
# here, $D.

load ../until.bash
export UNTIL_S=20

# Its reserved folders.
space_folders() {
	mkdir -p "$D/.memnet/part" "$D/.memnet/live" "$D/.memnet/jobs"
}

# What a test begins and ends with: a file that has more to do says so in a setup or teardown of its own. What is
# in PIDS, and the server, are ended.
stream_begin() {
	D=$BATS_TEST_TMPDIR/run/vm1/out
	SERVER='' PIDS=()
	space_folders
}

stream_end() {
	for pid in "${PIDS[@]}"; do
		if kill "$pid" 2>/dev/null; then wait "$pid" || true; fi
	done
	[ -z "$SERVER" ] || stop
}

setup() {
	stream_begin
}

teardown() {
	stream_end
}

# serve OPTION… — starts a server, $URL is where; the space is vm1/out unless operands follow "--".
serve() {
	: >"$BATS_TEST_TMPDIR/err" # or what an earlier one said would be taken for its
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

get() {
	curl -sS --max-time 20 "$@"
}

# begin_slowly RATE NAME — fetches it to a file NAME of the test, in the background, $FETCHER; returns when it has begun.
begin_slowly() {
	rm -f "$BATS_TEST_TMPDIR/$2"
	curl -s --limit-rate "$1" --max-time 20 -o "$BATS_TEST_TMPDIR/$2" "$URL/$2" 3>&- &
	FETCHER=$!
	until_true test -s "$BATS_TEST_TMPDIR/$2"
}

# The status of a reply.
code() {
	curl -s --max-time 20 -o /dev/null -w '%{http_code}' "$@"
}

random() {
	head -c "$1" /dev/urandom
}

gone() {
	[ ! -e "$1" ]
}
