#!/usr/bin/env bats
# memnet stream by HTTP with the clients that people have: downloads in parts, resumed and slowed down, many
# requests, and players, of finished and of growing objects. A client that is not there is skipped; players of
# playlists are in stream_players.bats.
# shellcheck disable=SC2030,SC2031 # each test has its own PIDS

SIZE=8000000

setup_file() {
	command -v ffmpeg >/dev/null || return 0
	# The length of the last frame is said, so that a player can show it without a next one.
	ffmpeg -v error -f lavfi -i testsrc=size=320x240:rate=25:duration=3 -c:v mpeg2video -g 12 \
		-omit_video_pes_length 0 -f mpegts "$BATS_FILE_TMPDIR/clip.ts"
}

load stream.bash

setup() {
	stream_begin
	GOT=$BATS_TEST_TMPDIR/got
	mkdir "$GOT"
	head -c "$SIZE" /dev/urandom >"$D/x.bin"
}

teardown() {
	stream_end
	[ -z "${VLC-}" ] || rm -r "$VLC"
}

needs() {
	command -v "$1" >/dev/null || skip "needs $1"
}

# begin_growing NAME FILE — a live object of its first half; end_growing NAME FILE: the second one
begin_growing() {
	echo >"$D/.memnet/live/$1"
	head -c $(($(stat -c %s "$2") / 2)) "$2" >"$D/$1"
}

end_growing() {
	local have
	have=$(stat -c %s "$D/$1")
	tail -c +$((have + 1)) "$2" >>"$D/$1"
	rm "$D/.memnet/live/$1"
}

# grow NAME FILE — makes a live object of it in 2 seconds, from the first tenth on
grow() {
	local size step
	size=$(stat -c %s "$2")
	step=$((size / 10 + 1))
	echo >"$D/.memnet/live/$1"
	head -c "$step" "$2" >"$D/$1"
	{
		for i in $(seq 9); do
			sleep 0.2
			tail -c +$((i * step + 1)) "$2" | head -c "$step" >>"$D/$1"
		done
		rm "$D/.memnet/live/$1"
	} 3>&- &
	PIDS+=($!)
}

frames() {
	ffmpeg -v error -i "$1" -map 0:v -f framemd5 - </dev/null | sed '/^#/d; s/.* //'
}

@test "curl: in parts, at a rate, and resumed when it was cut off" {
	serve
	get -r 0-2999999 -o "$GOT/1" -r 0-2999999 "$URL/x.bin"
	get -r 3000000- "$URL/x.bin" | cat "$GOT/1" - | cmp - "$D/x.bin"
	head -c 40000000 /dev/urandom >"$D/large.bin" # curl takes some MB before it slows down
	begin_slowly 2M large.bin
	kill "$FETCHER"
	wait "$FETCHER" || true
	get -C - --limit-rate 30M -o "$BATS_TEST_TMPDIR/large.bin" "$URL/large.bin"
	cmp "$BATS_TEST_TMPDIR/large.bin" "$D/large.bin"
	get -Z -o "$GOT/a" "$URL/x.bin" -o "$GOT/b" "$URL/x.bin"
	cmp "$GOT/a" "$D/x.bin"
	cmp "$GOT/b" "$D/x.bin"
}

@test "curl: a growing object, resumed at its edge" {
	serve
	begin_growing l.bin "$D/x.bin"
	has_all() { [ "$(stat -c %s "$GOT/l")" = "$(stat -c %s "$D/l.bin")" ]; }
	curl -s -N --max-time 20 -o "$GOT/l" "$URL/l.bin" 3>&- & # not get: what is killed is to be curl
	client=$!
	until_true has_all
	kill "$client"
	wait "$client" || true
	curl -s -N --max-time 20 -C - -o "$GOT/l" "$URL/l.bin" 3>&- &
	client=$!
	PIDS+=("$client")
	head -c 5000000 "$D/x.bin" | tail -c +4000001 >>"$D/l.bin"
	until_true has_all
	end_growing l.bin "$D/x.bin"
	wait "$client"
	cmp "$GOT/l" "$D/x.bin"
}

@test "wget: whole, resumed, a growing object, and a folder's list" {
	needs wget
	serve --listing
	wget -q -T 20 -P "$GOT" "$URL/x.bin"
	cmp "$GOT/x.bin" "$D/x.bin"
	truncate -s 3000000 "$GOT/x.bin"
	wget -c -T 20 -P "$GOT" "$URL/x.bin" 2>"$GOT/said"
	grep -q '206 Partial' "$GOT/said"
	cmp "$GOT/x.bin" "$D/x.bin"
	grow l.bin "$D/x.bin"
	wget -q -T 20 -P "$GOT" "$URL/l.bin"
	cmp "$GOT/l.bin" "$D/x.bin"
	mkdir "$D/sub"
	echo one >"$D/sub/1"
	echo two >"$D/sub/a b?"
	wget -q -T 20 -r -np -nH --cut-dirs 3 -R 'index.html*' -P "$GOT/sub" "$URL/sub/"
	diff -r "$GOT/sub" "$D/sub"
}

@test "wget -N: not what it has" {
	needs wget
	serve
	wget -q -N -P "$GOT" "$URL/x.bin"
	wget -N -P "$GOT" "$URL/x.bin" 2>"$GOT/said"
	grep -q '304 Not Modified' "$GOT/said"
}

@test "aria2c: eight segments at once, and the rest of them when it was killed" {
	needs aria2c
	# At a rate at which the first one does not get far before the others ask.
	serve --client-rate 1MB --access-log "$BATS_TEST_TMPDIR/log"
	aria=(aria2c -q --no-conf -x8 -s8 -k1M --file-allocation=none --auto-save-interval=1 -d "$GOT")
	"${aria[@]}" -o x "$URL/x.bin"
	cmp "$GOT/x" "$D/x.bin"
	stop
	[ "$(grep -c ' 206 ' "$BATS_TEST_TMPDIR/log")" -ge 7 ]
	serve
	"${aria[@]}" --max-download-limit=500K -o y "$URL/x.bin" 3>&- &
	client=$!
	PIDS+=("$client")
	until_true test -s "$GOT/y.aria2"
	kill -KILL "$client"
	wait "$client" || true
	[ -s "$GOT/y.aria2" ]
	"${aria[@]}" -c -o y "$URL/x.bin"
	cmp "$GOT/y" "$D/x.bin"
}

@test "lftp: four segments at once, and a folder mirrored" {
	needs lftp
	serve --listing
	mkdir "$D/sub"
	echo one >"$D/sub/1"
	echo two >"$D/sub/2"
	HOME=$GOT timeout 30 lftp -c "set net:max-retries 2; lcd $GOT; pget -n 4 $URL/x.bin; mirror $URL/sub sub"
	cmp "$GOT/x.bin" "$D/x.bin"
	diff -r "$GOT/sub" "$D/sub"
}

@test "wrk: thousands of requests on kept connections, without an error" {
	needs wrk
	head -c 4096 /dev/urandom >"$D/4k"
	serve --access-log "$BATS_TEST_TMPDIR/log"
	wrk -t 2 -c 64 -d 2 --timeout 20 "$URL/4k" >"$GOT/said"
	cat "$GOT/said"
	if grep -E 'Socket errors|Non-2xx' "$GOT/said"; then false; fi
	asked=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' "$GOT/said")
	[ "$asked" -gt 1000 ]
	stop
	[ "$(grep -c '" 200 4096 ' "$BATS_TEST_TMPDIR/log")" -ge "$asked" ]
	if grep -v '" 200 ' "$BATS_TEST_TMPDIR/log"; then false; fi
}

@test "ffmpeg and ffprobe: each frame of a finished and of a growing object" {
	needs ffmpeg
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/c.ts"
	frames "$D/c.ts" >"$GOT/frames"
	[ "$(wc -l <"$GOT/frames")" = 75 ]
	serve
	frames "$URL/c.ts" | cmp - "$GOT/frames"
	grow l.ts "$D/c.ts"
	frames "$URL/l.ts" | cmp - "$GOT/frames"
	grow m.ts "$D/c.ts"
	[ "$(ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames \
		-of default=nw=1:nk=1 "$URL/m.ts" | head -1)" = 75 ]
	[ "$(ffprobe -v error -show_entries format=duration -of default=nw=1:nk=1 "$URL/c.ts")" = 3.000000 ]
}

@test "ffmpeg seeks in a finished object, by ranges" {
	needs ffmpeg
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/c.ts"
	serve --access-log "$BATS_TEST_TMPDIR/log"
	ffmpeg -v error -ss 2 -i "$URL/c.ts" -map 0:v -f framemd5 - </dev/null | sed '/^#/d; s/.* //' >"$GOT/tail"
	[ -s "$GOT/tail" ]
	frames "$D/c.ts" | tail -n "$(wc -l <"$GOT/tail")" | cmp - "$GOT/tail"
	stop
	grep -q ' 206 ' "$BATS_TEST_TMPDIR/log"
}

@test "GStreamer: each byte of a finished and of a growing object" {
	gst-inspect-1.0 souphttpsrc >/dev/null 2>&1 || skip "needs GStreamer's souphttpsrc"
	# Its status at its own end says nothing: the bytes do.
	gst() {
		timeout 40 gst-launch-1.0 -q souphttpsrc location="$1" ! filesink location="$2" 3>&- || true
	}
	serve
	gst "$URL/x.bin" "$GOT/x"
	cmp "$GOT/x" "$D/x.bin"
	grow l.bin "$D/x.bin"
	gst "$URL/l.bin" "$GOT/l"
	cmp "$GOT/l" "$D/x.bin"
}

@test "VLC: each byte of a finished and of a growing object" {
	# As another user: it does not run as root.
	vlc() {
		set -- cvlc -q "$@"
		[ "$(id -u)" != 0 ] || set -- setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
		HOME=/nonexistent timeout 60 "$@" 2>"$BATS_TEST_TMPDIR/vlc" 3>&-
	}
	# dump URL FILE — its status at its own end says nothing: the bytes do.
	dump() {
		vlc "$1" --demux=dump --demuxdump-file="$2" vlc://quit || true
	}
	vlc --version >/dev/null || skip "needs VLC"
	needs ffmpeg
	VLC=$(mktemp -d)
	chmod 777 "$VLC"
	serve
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/c.ts"
	dump "$URL/c.ts" "$VLC/c"
	cmp "$VLC/c" "$D/c.ts"
	grow l.ts "$D/c.ts"
	dump "$URL/l.ts" "$VLC/l"
	cmp "$VLC/l" "$D/c.ts"
}
