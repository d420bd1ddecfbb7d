# shellcheck shell=bash
# shellcheck disable=SC2034 # URL and PORT are for those who load this
# A server of the space vm1/out by RTSP: for the tests of memnet stream --rtsp.

load stream.bash

teardown() {
	[ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null || true
}

# clip FILE [SECONDS] — 75 frames, or 25 a second. The length of the last one is said, so that a client can show it without a next one.
clip() {
	ffmpeg -v error -f lavfi -i testsrc=size=320x240:rate=25:duration="${2-3}" -c:v mpeg2video -g 12 \
		-omit_video_pes_length 0 -f mpegts "$1"
}

frames() {
	ffmpeg -v error "${@:2}" -i "$1" -map 0:v -f framemd5 - </dev/null | sed '/^#/d; s/.* //'
}

serve() {
	: >"$BATS_TEST_TMPDIR/err"
	memnet stream --runtime-dir "$BATS_TEST_TMPDIR/run" --listen http://127.0.0.1:0 --rtsp 127.0.0.1:0 "$@" \
		vm1/out 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	SERVER=$!
	until_true grep -q 'listening on http' "$BATS_TEST_TMPDIR/err"
	URL=$(sed -n 's/.*listening on \(rtsp.*\)/\1/p' "$BATS_TEST_TMPDIR/err")/vm1/out
	PORT=${URL#*:*:}
	PORT=${PORT%%/*}
}

# by_hand — a Python client's lines on stdin: ask(METHOD, PATH, FIELD…) gives the status and the whole reply,
# told(FIELD=NUMBER…) what the control socket tells when it tells these
by_hand() {
	{
		cat "$MEMNET_SRC/tests/host/rtsp_client.py"
		cat
	} | timeout 30 python3 - "$PORT" "$BATS_TEST_TMPDIR/run/.stream/$SERVER.sock"
}
