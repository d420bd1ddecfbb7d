#!/usr/bin/env bats
# memnet stream and the content of compressed objects, for clients that do not take zstd.

load stream.bash

setup() {
	stream_begin
	python3 -c 'import zstandard' 2>/dev/null || command -v zstd >/dev/null || skip "needs zstd"
	PLAIN=$BATS_TEST_TMPDIR/plain
}

teardown() {
	stream_end
	umount -l "$D" 2>/dev/null || true
}

# content BYTES — which compress, and differ from one place to another.
content() {
	seq 1000000000 | head -c "$1"
}

# pack FRAME NAME [WHAT] — the standard input as a seekable object, in frames of FRAME bytes; WHAT says what
# is wrong with it.
pack() {
	python3 "$BATS_TEST_DIRNAME/seekable.py" "$@" >"$D/$2"
}

# part FIRST LAST — of $PLAIN.
part() {
	tail -c +$(($1 + 1)) "$PLAIN" | head -c $(($2 - $1 + 1))
}

# etag HEAD — the entity tag in it.
etag() {
	sed -n 's/^ETag: \(.*\)\r/\1/p' <<<"$1"
}

@test "whole, by range, by HEAD; and compressed for who takes that" {
	content 3000000 >"$PLAIN"
	pack 100000 x.ts.zst <"$PLAIN"
	serve
	get "$URL/x.ts" | cmp - "$PLAIN"
	for range in 0-0 0-99999 99999-100000 100000-100000 1234567-2345678 2999999-2999999; do
		get -r "$range" "$URL/x.ts" | cmp - <(part "${range%-*}" "${range#*-}")
	done
	get -r -7 "$URL/x.ts" | cmp - <(tail -c 7 "$PLAIN")
	get -r 2900000- "$URL/x.ts" | cmp - <(tail -c 100000 "$PLAIN")
	[ "$(code -r 3000000- "$URL/x.ts")" = 416 ]
	run get -I -r 5-9 "$URL/x.ts"
	[[ $output == *" 206 "*"Content-Type: video/mp2t"*"Content-Range: bytes 5-9/3000000"*"Content-Length: 5"* ]]
	[[ $output != *Content-Encoding* && $output == *"Vary: Accept-Encoding"* && $output == *"Accept-Ranges: bytes"* ]]
	etag=$(etag "$output")
	[ "$(code -H "If-None-Match: $etag" "$URL/x.ts")" = 304 ]
	[ "$(code -r 0-1 -H "If-Range: $etag" "$URL/x.ts")" = 206 ]
	[ "$(etag "$(get -I -H 'Accept-Encoding: zstd' "$URL/x.ts")")" != "$etag" ]
	get -H 'Accept-Encoding: zstd' "$URL/x.ts" | cmp - "$D/x.ts.zst"
	get "$URL/x.ts.zst" | cmp - "$D/x.ts.zst"
}

# parts FILE FIRST-LAST… — FILE is a multipart body with just these parts of $PLAIN, video/mp2t each.
parts() {
	python3 - "$PLAIN" "$@" <<-'END'
		import sys
		plain, body = (open(p, 'rb').read() for p in sys.argv[1:3])
		boundary, rest = body[2:].split(b'\r\n', 1)
		assert boundary.startswith(b'--memnet'), boundary
		want = b''
		for r in sys.argv[3:]:
		    first, last = map(int, r.split('-'))
		    want += b'\r\n' + boundary + b'\r\nContent-Type: video/mp2t\r\n'
		    want += b'Content-Range: bytes %d-%d/%d\r\n\r\n' % (first, last, len(plain)) + plain[first:last + 1]
		assert body == want + b'\r\n' + boundary + b'--\r\n'
	END
}

@test "several ranges: in and out of order, overlapping, in one frame and in many; HEAD, If-Range, 416" {
	content 3000000 >"$PLAIN"
	pack 100000 x.ts.zst <"$PLAIN"
	serve
	got=$BATS_TEST_TMPDIR/got
	for ranges in 0-9,100-199 0-0,99999-100000,2999999-2999999 5-400000,400001-400001,1000000-2999999 \
		2000000-2500000,150-300000,7-7 0-300000,100000-200000,150000-350000 100-100,100-100; do
		[ "$(get -o "$got" -w '%{http_code} %{size_download}' -r "$ranges" "$URL/x.ts")" = \
			"206 $(get -I -r "$ranges" "$URL/x.ts" | sed -n 's/^Content-Length: \(.*\)\r/\1/p')" ]
		# shellcheck disable=SC2046 # each range a word
		parts "$got" $(tr , ' ' <<<"$ranges")
	done
	get -o "$got" -r 7-7,-7,2999990-,3000000-3000001 "$URL/x.ts"
	parts "$got" 7-7 2999993-2999999 2999990-2999999
	run get -I -r 0-9,100-199 "$URL/x.ts"
	[[ $output == *" 206 "*"Content-Type: multipart/byteranges; boundary=memnet-"*"Vary: Accept-Encoding"* ]]
	[[ $output != *Content-Encoding* && $output != *Content-Range* ]]
	tag=$(etag "$output")
	get -o "$got" -H "If-Range: $tag" -r 0-9,100-199 "$URL/x.ts"
	parts "$got" 0-9 100-199
	get -H 'If-Range: "other"' -r 0-9,100-199 "$URL/x.ts" | cmp - "$PLAIN"
	get -H "If-Range: W/$tag" -r 0-9,100-199 "$URL/x.ts" | cmp - "$PLAIN"
	tag=$(etag "$(get -I -H 'Accept-Encoding: zstd' "$URL/x.ts")")
	get -H "If-Range: $tag" -r 0-9,100-199 "$URL/x.ts" | cmp - "$PLAIN"
	[ "$(code -r 3000000-,3000005-3000009 "$URL/x.ts")" = 416 ]
	run get -I -r 3000000-,-0 "$URL/x.ts"
	[[ $output == *" 416 "*"Content-Range: bytes */3000000"* ]]
	# One can be had: no parts, then.
	get -r 3000000-,10-19 "$URL/x.ts" | cmp - <(part 10 19)
	# The next request on the same connection is another.
	get -r 2-3,0-1 "$URL/x.ts" -o "$got" --next -sS -r 5-9 "$URL/x.ts" | cmp - <(part 5 9)
	parts "$got" 2-3 0-1
}

@test "several ranges of the object as it is have the type that it has without its coding" {
	content 300000 >"$PLAIN"
	pack 100000 x.ts.zst <"$PLAIN"
	serve
	mv "$PLAIN" "$PLAIN.1"
	cp "$D/x.ts.zst" "$PLAIN"
	get -H 'Accept-Encoding: zstd' -r 1-5,100-199 -o "$BATS_TEST_TMPDIR/got" "$URL/x.ts"
	parts "$BATS_TEST_TMPDIR/got" 1-5 100-199
}

@test "several ranges that cost too much, or that are more than all of it, are answered with the whole" {
	content 72000000 >"$PLAIN"
	pack 18000000 x.zst <"$PLAIN"
	serve
	# The last bytes of two frames are decompressed for nothing but these; and of a third one.
	[ "$(code -r 17999999-17999999,20000000-20000009 "$URL/x")" = 206 ]
	[ "$(code -r 17999999-17999999,35999999-35999999 "$URL/x")" = 200 ]
	[ "$(code -I -r 17999999-17999999,35999999-35999999 "$URL/x")" = 200 ]
	# In one frame: once in order, anew each time otherwise.
	[ "$(code -r 16000000-16000009,17000000-17000009,17999999-17999999 "$URL/x")" = 206 ]
	[ "$(code -r 17999999-17999999,17000000-17000009,16000000-16000009 "$URL/x")" = 200 ]
	single() { seq "$1" | sed 's/.*/&-&/' | paste -sd ,; }
	# As for any object: more bytes than there are, and more than 32 ranges.
	[ "$(code -r 0-71999999,0-0 "$URL/x")" = 200 ]
	[ "$(code -I -r "$(single 32)" "$URL/x")" = 206 ]
	[ "$(code -I -r "$(single 33)" "$URL/x")" = 200 ]
}

@test "without checksums, with empty frames, one frame, no frames but empty ones" {
	content 500000 >"$PLAIN"
	pack 100000 a.zst unchecked <"$PLAIN"
	pack 100000 b.zst empty <"$PLAIN"
	pack 1000000 c.zst <"$PLAIN"
	: | pack 1000 d.zst empty
	serve
	for x in a b c; do
		get "$URL/$x" | cmp - "$PLAIN"
		get -r 150000-250000 "$URL/$x" | cmp - <(part 150000 250000)
	done
	[ "$(code "$URL/d")" = 200 ]
	[ "$(code -r 0-0 "$URL/d")" = 416 ]
}

@test "what is not seekable is not there by another name" {
	content 100000 >"$PLAIN"
	pack 1000 plain.zst tableless <"$PLAIN"
	echo x >"$D/text.zst"
	: >"$D/empty.zst"
	for wrong in magic reserved short count sum gap size packed; do
		pack 10000 "$wrong.zst" "$wrong" <"$PLAIN"
	done
	serve
	for x in plain text empty magic reserved short count sum gap size packed; do
		[ "$(code "$URL/$x")" = 404 ] || { echo "$x is there" && false; }
		get "$URL/$x.zst" | cmp - "$D/$x.zst"
	done
	get -H 'Accept-Encoding: zstd' "$URL/plain" | cmp - "$D/plain.zst"
	# Which a cache has to know.
	get -I "$URL/plain" >"$BATS_TEST_TMPDIR/head"
	grep -q '^HTTP/1.1 404 ' "$BATS_TEST_TMPDIR/head"
	grep -q '^Vary: Accept-Encoding' "$BATS_TEST_TMPDIR/head"
}

@test "a table that lies about its frames costs the client a broken transfer, and nobody else" {
	content 300000 >"$PLAIN"
	for wrong in more less checksum broken swapped; do
		pack 100000 "$wrong.zst" "$wrong" <"$PLAIN"
	done
	content 300000 >"$D/other"
	serve
	for x in more less checksum broken swapped; do
		run curl -s --max-time 20 -o "$BATS_TEST_TMPDIR/got" "$URL/$x"
		[ "$status" = 18 ] || [ "$status" = 56 ] || { echo "$x: $status" && false; }
		[ "$(wc -c <"$BATS_TEST_TMPDIR/got")" -lt 300000 ]
		get "$URL/other" | cmp - "$D/other"
	done
	# The lie is about the second frame: what is before it can be had.
	get -r 0-99999 "$URL/checksum" | cmp - <(part 0 99999)
}

@test "an object that is truncated or overwritten while its content is sent" {
	content 30000000 >"$PLAIN"
	pack 1000000 x.zst <"$PLAIN"
	serve --client-rate 3MB
	curl -s --max-time 20 -o "$BATS_TEST_TMPDIR/got" "$URL/x" 3>&- &
	client=$!
	until_true [ -s "$BATS_TEST_TMPDIR/got" ]
	truncate -s 100000 "$D/x.zst"
	status=0
	wait "$client" || status=$?
	[ "$status" = 18 ] || [ "$status" = 56 ]
	[ "$(code "$URL/x")" = 404 ]
}

@test "an object that is truncated while ranges of its content are sent" {
	content 30000000 >"$PLAIN"
	pack 1000000 x.zst <"$PLAIN"
	serve --client-rate 3MB
	got=$BATS_TEST_TMPDIR/got
	curl -s --max-time 20 -o "$got" -r 10000000-29000000,5-9 "$URL/x" 3>&- &
	client=$!
	first_frame() { [ "$(stat -c %s "$got")" -gt 1100000 ]; } # and what is before it
	until_true first_frame
	truncate -s 100000 "$D/x.zst"
	status=0
	wait "$client" || status=$?
	[ "$status" = 18 ] || [ "$status" = 56 ]
	# What came is the content's, and then nothing: neither the next part nor the end.
	sed '1,/^\r$/d' "$got" | cmp -n 1000000 - <(part 10000000 10999999)
	[ "$(grep -ac 'bytes 5-9/' "$got")" = 0 ]
}

@test "many at once, and others meanwhile" {
	content 20000000 >"$PLAIN"
	pack 1000000 x.zst <"$PLAIN"
	echo small >"$D/small"
	serve
	clients=()
	for i in 1 2 3 4 5 6; do
		{ get -r "${i}000000-" "$URL/x" | md5sum >"$BATS_TEST_TMPDIR/$i"; } 3>&- &
		clients+=($!)
	done
	for _ in 1 2 3 4 5; do [ "$(get "$URL/small")" = small ]; done
	for i in 1 2 3 4 5 6; do
		wait "${clients[i - 1]}"
		cmp "$BATS_TEST_TMPDIR/$i" <(tail -c +"${i}000001" "$PLAIN" | md5sum)
	done
}

@test "beyond its memory it says come again, and does not when they are done" {
	content 34000000 >"$PLAIN"
	pack 33000000 x.zst <"$PLAIN"
	serve --client-rate 100KB
	clients=()
	# Eight fit; the question below may have a place while one of them comes.
	for _ in $(seq 16); do
		curl -s --max-time 60 -o /dev/null "$URL/x" 3>&- &
		clients+=($!)
	done
	busy() { [ "$(code -r 0-0 "$URL/x")" = 503 ]; }
	until_true busy
	[ "$(code -I "$URL/x")" = 200 ]
	kill "${clients[@]}" 2>/dev/null || true # some were told to come again
	there() { [ "$(code -r 0-0 "$URL/x")" = 206 ]; }
	until_true there
}

@test "its content is no delivery, but keeps the object from being released" {
	content 3000000 >"$PLAIN"
	pack 100000 x.zst <"$PLAIN"
	serve --release delivered
	get "$URL/x" | cmp - "$PLAIN"
	get "$URL/x" | cmp - "$PLAIN"
	get -o /dev/null "$URL/x.zst"
	gone() { [ ! -e "$D/x.zst" ]; }
	until_true gone
	[ "$(code "$URL/x")" = 404 ]
}

@test "what memnet compress makes seekable" {
	content 5000000 >"$PLAIN"
	mount -t tmpfs -o size=64m memnet-test "$D" 2>/dev/null || skip "needs a tmpfs"
	mkdir -p "$D/.memnet/part" "$D/.memnet/live" "$D/.memnet/jobs"
	memnet compress -q --seekable=1M --to "$D" -o x.zst "$PLAIN"
	serve
	get "$URL/x" | cmp - "$PLAIN"
	get -r 2000000-4000000 "$URL/x" | cmp - <(part 2000000 4000000)
}
