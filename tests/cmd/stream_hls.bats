#!/usr/bin/env bats
# memnet stream and HLS: playlists that grow, requests that wait for a segment, and real players.

load stream.bash

PROMISE='#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES'

# playlist FIRST LAST [TAG…] — of one-second segments.
playlist() {
	printf '#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%d\n' "${TARGET:-1}" "$1"
	seq "$1" "$2" | sed 's/.*/#EXTINF:1.0,\ns&.ts/'
	[ $# -lt 3 ] || printf '%s\n' "${@:3}"
}

# put NAME — publishes its input, as a muxer does it.
put() {
	cat >"$D/$1.tmp"
	mv "$D/$1.tmp" "$D/$1"
}

# ask URL — in the background; its status and body in $BATS_TEST_TMPDIR/answer, its process in $ASKED.
ask() {
	curl -s --max-time 20 -w '%{http_code}\n' "$1" >"$BATS_TEST_TMPDIR/answer" 3>&- &
	ASKED=$!
}

# held — the request has been taken and not been answered: the server says so by a watch on the playlist.
held() {
	grep -q inotify "/proc/$SERVER/fdinfo/"* 2>/dev/null
}

# answered — waits for it; it is $output.
answered() {
	wait "$ASKED"
	output=$(<"$BATS_TEST_TMPDIR/answer")
}

@test "a playlist that grows carries the promise, one that has ended does not" {
	playlist 3 5 | put live.m3u8
	playlist 3 5 '#EXT-X-ENDLIST' | put ended.m3u8
	printf '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlive.m3u8\n' | put master.m3u8
	{ playlist 3 5 && echo '#EXT-X-SERVER-CONTROL:HOLD-BACK=9'; } | put own.m3u8
	serve
	{ printf '#EXTM3U\n%s\n' "$PROMISE" && playlist 3 5 | tail -n +2; } >"$BATS_TEST_TMPDIR/want"
	get "$URL/live.m3u8" | cmp - "$BATS_TEST_TMPDIR/want"
	for as_it_is in ended master own; do
		get "$URL/$as_it_is.m3u8" | cmp - "$D/$as_it_is.m3u8"
	done
	run get -I "$URL/live.m3u8"
	[[ $output == *"Content-Length: $(wc -c <"$BATS_TEST_TMPDIR/want")"* ]]
	[[ $output == *"Accept-Ranges: none"* && $output == *"Cache-Control: no-cache"* ]]
	etag=$(sed -n 's/^ETag: \(.*\)\r/\1/p' <<<"$output")
	[ "$(code -H "If-None-Match: $etag" "$URL/live.m3u8")" = 304 ]
	get -r 0-3 "$URL/live.m3u8" | cmp - "$BATS_TEST_TMPDIR/want"
	[ "$(get -r 0-6 "$URL/ended.m3u8")" = '#EXTM3U' ]
}

@test "a playlist of many lines, and one too large to wait for" {
	playlist 0 12000 | put long.m3u8
	playlist 0 70000 | put longest.m3u8
	serve
	get "$URL/long.m3u8" | cmp - <(printf '#EXTM3U\n%s\n' "$PROMISE" && tail -n +2 "$D/long.m3u8")
	get "$URL/longest.m3u8?_HLS_msn=70001" | cmp - "$D/longest.m3u8"
}

@test "a request waits for its segment, and only for that" {
	TARGET=6
	playlist 3 5 | put live.m3u8
	serve
	get "$URL/live.m3u8?_HLS_msn=5" | grep -q '^s5.ts'
	ask "$URL/live.m3u8?a=b&_HLS_msn=7&_HLS_part=0"
	until_true held
	playlist 4 6 | put live.m3u8
	[ ! -s "$BATS_TEST_TMPDIR/answer" ]
	playlist 4 7 | put live.m3u8
	answered
	[[ $output == *"$PROMISE"*"s7.ts"*200 ]]
}

@test "a playlist that is written in place, and one that ends" {
	TARGET=6
	playlist 3 5 >"$D/live.m3u8"
	serve
	ask "$URL/live.m3u8?_HLS_msn=6"
	until_true held
	printf '#EXTINF:1.0,\ns6' >>"$D/live.m3u8"
	printf '.ts\n' >>"$D/live.m3u8"
	answered
	[[ $output == *"s6.ts"*200 ]]
	ask "$URL/live.m3u8?_HLS_msn=7"
	until_true held
	echo '#EXT-X-ENDLIST' >>"$D/live.m3u8"
	answered
	[[ $output == *'#EXT-X-ENDLIST'*200 && $output != *"$PROMISE"* ]]
	ask "$URL/live.m3u8?_HLS_msn=7"
	answered
	[[ $output == *200 ]]
}

@test "what cannot be waited for: too far ahead, no number, a part of nothing" {
	playlist 3 5 | put live.m3u8
	serve
	for bad in _HLS_msn=8 _HLS_msn= _HLS_msn=-1 _HLS_msn=1x '_HLS_msn=4&_HLS_msn=4' _HLS_part=0 \
		_HLS_msn=99999999999999999999; do
		[ "$(code "$URL/live.m3u8?$bad")" = 400 ]
	done
	[ "$(code "$URL/live.m3u8?_HLS_msn=0")" = 200 ]
	[ "$(code "$URL/live.m3u8?HLS_msn=8")" = 200 ]
}

@test "a segment that does not come is 503 after three target durations, a playlist that goes is 404" {
	playlist 3 5 | put live.m3u8
	serve
	began=$(date +%s%N)
	ask "$URL/live.m3u8?_HLS_msn=6"
	answered
	[[ $output == *503 ]]
	took=$((($(date +%s%N) - began) / 1000000))
	[ "$took" -ge 2900 ]
	TARGET=6
	playlist 3 5 | put live.m3u8
	ask "$URL/live.m3u8?_HLS_msn=6"
	until_true held
	rm "$D/live.m3u8"
	answered
	[[ $output == *404 ]]
}

@test "SIGTERM does not wait for those who wait; what follows in the connection is answered in its turn" {
	TARGET=20
	playlist 3 5 | put live.m3u8
	echo one >"$D/x"
	serve --access-log "$BATS_TEST_TMPDIR/log"
	port=${URL#*:*:}
	exec 4<>"/dev/tcp/127.0.0.1/${port%%/*}"
	printf 'GET /vm1/out/live.m3u8?_HLS_msn=6 HTTP/1.1\r\nHost: a\r\n\r\nGET /vm1/out/x HTTP/1.1\r\nHost: a\r\n' >&4
	until_true held
	printf 'Connection: close\r\n\r\n' >&4
	playlist 3 6 | put live.m3u8
	timeout 10 cat <&4 >"$BATS_TEST_TMPDIR/got"
	[ "$(grep -ac '^HTTP/1.1 200' "$BATS_TEST_TMPDIR/got")" = 2 ]
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/got")" = one ]
	ask "$URL/live.m3u8?_HLS_msn=7"
	until_true held
	stop
	answered
	[[ $output == *503 ]]
	[ "$(grep -c '_HLS_msn=6 HTTP/1.1" 200' "$BATS_TEST_TMPDIR/log")" = 1 ]
	[ "$(grep -c '_HLS_msn=7 HTTP/1.1" 503' "$BATS_TEST_TMPDIR/log")" = 1 ]
}

@test "who waits keeps nothing open, and leaves no watch behind" {
	TARGET=20
	playlist 3 5 | put live.m3u8
	serve
	ask "$URL/live.m3u8?_HLS_msn=6"
	until_true held
	not_open() { ! find "/proc/$SERVER/fd" -lname "$D/live.m3u8" | grep -q .; }
	until_true not_open
	playlist 3 6 | put live.m3u8
	answered
	not_held() { ! held; }
	until_true not_held
}

@test "release delivered: a playlist is released when it has ended, not before" {
	playlist 3 5 | put live.m3u8
	serve --release delivered
	{ playlist 3 5 && echo '#EXT-X-SERVER-CONTROL:HOLD-BACK=9'; } | put own.m3u8
	for _ in 1 2 3; do get "$URL/live.m3u8" | grep -q "$PROMISE"; done
	for _ in 1 2 3; do get "$URL/own.m3u8" | cmp - "$D/own.m3u8"; done
	playlist 3 5 '#EXT-X-ENDLIST' | put live.m3u8
	get -o /dev/null "$URL/live.m3u8"
	released() { [ ! -e "$D/live.m3u8" ]; }
	until_true released
}
