#!/usr/bin/env bats
# memnet stream and real players of HLS and DASH, while a real muxer still writes, through memnet transcode-hook. A
# player that is not there is skipped.

FRAMES=200 # 8 segments of a second

load stream.bash

setup() {
	stream_begin
	command -v ffmpeg >/dev/null || skip "needs ffmpeg"
	GOT=$BATS_TEST_TMPDIR/got
}

# mux — in the time it takes, as a camera would; returns when a player can begin.
mux() {
	memnet transcode-hook --to "$D" --files --name hls -- ffmpeg -v error -nostdin -re -f lavfi \
		-i "testsrc2=d=$((FRAMES / 25)):s=160x120:r=25" -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 25 -f hls \
		-hls_time 1 -hls_playlist_type event '{output}/p.m3u8' 2>"$BATS_TEST_TMPDIR/muxer" 3>&- &
	MUXER=$!
	PIDS+=("$MUXER")
	until_true grep -q '^p1.ts' "$D/hls/p.m3u8"
}

# mux_dash — likewise, as DASH
mux_dash() {
	memnet transcode-hook --to "$D" --files --name dash -- ffmpeg -v error -nostdin -re -f lavfi \
		-i "testsrc2=d=$((FRAMES / 25)):s=160x120:r=25" -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 25 -f dash \
		-seg_duration 1 '{output}/m.mpd' 2>"$BATS_TEST_TMPDIR/muxer" 3>&- &
	MUXER=$!
	PIDS+=("$MUXER")
	until_true test -e "$D/dash/chunk-stream0-00002.m4s"
}

growing() {
	if grep -q ENDLIST "$D/hls/p.m3u8"; then false; fi
}

# plays COMMAND… — begins while there is no end yet, and ends well.
plays() {
	growing
	timeout 40 "$@" >"$GOT.out" 2>"$GOT.err" || { cat "$GOT.err" && false; }
	grep -q ENDLIST "$D/hls/p.m3u8"
}

segments() {
	for i in $(seq "$1" $((FRAMES / 25 - 1))); do cat "$D/hls/p$i.ts"; done
}

@test "ffmpeg: each frame" {
	serve
	mux
	plays ffmpeg -v error -nostdin -live_start_index 0 -i "$URL/hls/p.m3u8" -map 0:v -c copy -f framecrc -
	[ "$(grep -vc '^#' "$GOT.out")" = "$FRAMES" ]
}

@test "streamlink: each byte" {
	command -v streamlink >/dev/null || skip "needs streamlink"
	serve
	mux
	plays streamlink --hls-live-restart -o "$GOT" "hls://$URL/hls/p.m3u8" best
	cmp "$GOT" <(segments 0)
}

@test "mpv: each frame" {
	command -v mpv >/dev/null || skip "needs mpv"
	serve
	mux
	plays mpv --no-config --demuxer-lavf-o=live_start_index=0 --of=framecrc --ovc=rawvideo --o="$GOT" \
		"$URL/hls/p.m3u8"
	[ "$(grep -vc '^#' "$GOT")" -ge $((FRAMES - 1)) ]
}

@test "GStreamer's hlsdemux: to the end, from where it joins" {
	gst-inspect-1.0 hlsdemux >/dev/null 2>&1 && gst-inspect-1.0 souphttpsrc >/dev/null 2>&1 ||
		skip "needs GStreamer's hlsdemux and souphttpsrc"
	serve
	mux
	plays gst-launch-1.0 -q souphttpsrc location="$URL/hls/p.m3u8" ! hlsdemux ! filesink location="$GOT"
	tail -c "$(segments 4 | wc -c)" "$GOT" | cmp - <(segments 4)
}

chunks() {
	for i in $(seq "$1" $((FRAMES / 25))); do cat "$D/dash/chunk-stream0-0000$i.m4s"; done
}

@test "DASH: GStreamer to the end, from where it joins; and all of it when it has ended" {
	gst-inspect-1.0 dashdemux >/dev/null 2>&1 && gst-inspect-1.0 souphttpsrc >/dev/null 2>&1 ||
		skip "needs GStreamer's dashdemux and souphttpsrc"
	serve
	mux_dash
	play=(timeout -k 1 40 gst-launch-1.0 -q souphttpsrc location="$URL/dash/m.mpd" ! dashdemux ! filesink location="$GOT")
	grep -q 'type="dynamic"' "$D/dash/m.mpd"
	"${play[@]}"
	grep -q 'type="static"' "$D/dash/m.mpd"
	tail -c "$(chunks 6 | wc -c)" "$GOT" | cmp - <(chunks 6)
	wait "$MUXER"
	"${play[@]}"
	cmp "$GOT" <(cat "$D/dash/init-stream0.m4s" && chunks 1)
}

# What it makes of one that grows is not looked at: it asks for segments that are not promised, hundreds of times a second.
@test "DASH: ffmpeg has each frame when it has ended" {
	ffmpeg -hide_banner -demuxers 2>/dev/null | grep -q ' dash ' || skip "needs an ffmpeg that reads DASH"
	serve
	mux_dash
	wait "$MUXER"
	timeout -k 1 40 ffmpeg -v error -nostdin -i "$URL/dash/m.mpd" -map 0:v -c copy -f framecrc - >"$GOT"
	[ "$(grep -vc '^#' "$GOT")" = "$FRAMES" ]
}

# The page is of another origin, and says there how it ended.
@test "a browser with hls.js: to the end, and it waits for segments rather than ask again and again" {
	local browser hls
	browser=$(command -v chromium || command -v chromium-browser) || skip "needs chromium"
	hls=${HLS_JS:-$(npm root -g 2>/dev/null)/hls.js/dist/hls.min.js}
	[ -e "$hls" ] || skip "needs hls.js: npm install -g hls.js, or HLS_JS=FILE"
	mkdir "$BATS_TEST_TMPDIR/page"
	cp "$hls" "$BATS_TEST_TMPDIR/page/hls.js"
	cp "$BATS_TEST_DIRNAME/player.html" "$BATS_TEST_TMPDIR/page/index.html"
	python3 -u -m http.server -b 127.0.0.1 -d "$BATS_TEST_TMPDIR/page" 0 >"$BATS_TEST_TMPDIR/page.log" 2>&1 3>&- &
	PIDS+=($!)
	until_true grep -q 'port [0-9]' "$BATS_TEST_TMPDIR/page.log"
	page=$(sed -n 's/.*port \([0-9]*\).*/http:\/\/127.0.0.1:\1/p' "$BATS_TEST_TMPDIR/page.log")
	serve --cors "$page" --access-log "$BATS_TEST_TMPDIR/log"
	mux
	growing
	"$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --mute-audio \
		--autoplay-policy=no-user-gesture-required --user-data-dir="$BATS_TEST_TMPDIR/browser" \
		--remote-debugging-port=0 "$page/#$URL/hls/p.m3u8" >"$BATS_TEST_TMPDIR/browser.log" 2>&1 3>&- &
	PIDS+=($!)
	for _ in 1 2 3 4; do
		until_true grep -q '/end?' "$BATS_TEST_TMPDIR/page.log" >/dev/null && break
	done
	grep -o '/end?[^ ]*' "$BATS_TEST_TMPDIR/page.log"
	grep -q '/end?ended' "$BATS_TEST_TMPDIR/page.log"
	[ "$(grep -c 'p[0-7].ts HTTP/1.1" 200' "$BATS_TEST_TMPDIR/log")" -ge 5 ]
	[ "$(grep -c '_HLS_msn=[0-9]* HTTP/1.1" 200' "$BATS_TEST_TMPDIR/log")" -ge 4 ]
}
