#!/usr/bin/env bats
# memnet stream, with real curl. A space is a folder here: what the server does with a mount of its
# own is in the one test that needs a small one.

load stream.bash

teardown() {
	stream_end
	[ -z "${MOUNTED-}" ] || umount -l "$MOUNTED"
}

# raw REQUEST — what comes back for these very bytes, until the server closes.
raw() {
	local port=${URL#*:*:}
	exec 4<>"/dev/tcp/127.0.0.1/${port%%/*}"
	printf '%b' "$1" >&4
	timeout 10 cat <&4
	exec 4>&-
}

@test "an object, small and large, whole and by HEAD" {
	random 5000 >"$D/small"
	random 3000000 >"$D/large.ts"
	mkdir "$D/sub"
	echo deep >"$D/sub/x"
	serve
	get "$URL/small" | cmp - "$D/small"
	get "$URL/large.ts" | cmp - "$D/large.ts"
	[ "$(get "$URL/sub/x")" = deep ]
	run get -I "$URL/large.ts"
	[[ $output == *"200 OK"* && $output == *"Content-Length: 3000000"* ]]
	[[ $output == *"Content-Type: video/mp2t"* && $output == *"Accept-Ranges: bytes"* ]]
}

@test "an empty object" {
	: >"$D/empty"
	serve
	[ "$(code "$URL/empty")" = 200 ]
	[ "$(get "$URL/empty" | wc -c)" = 0 ]
	[ "$(code -r 0- "$URL/empty")" = 416 ]
}

@test "one connection for many requests, and pipelined ones" {
	echo one >"$D/1"
	random 300000 >"$D/2"
	serve
	[ "$(get -w '%{num_connects}' -o "$BATS_TEST_TMPDIR/1" "$URL/1" -o "$BATS_TEST_TMPDIR/nope" "$URL/nope" \
		-o "$BATS_TEST_TMPDIR/1" "$URL/1")" = 100 ]
	raw "GET /vm1/out/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /vm1/out/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /vm1/out/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" >"$BATS_TEST_TMPDIR/got"
	[ "$(grep -ao 'HTTP/1.1 200' "$BATS_TEST_TMPDIR/got" | wc -l)" = 3 ]
	[ "$(grep -ac '^one' "$BATS_TEST_TMPDIR/got")" = 2 ]
}

@test "a request in pieces, and a client that closes its side first" {
	echo one >"$D/1"
	serve
	port=${URL#*:*:}
	exec 4<>"/dev/tcp/127.0.0.1/${port%%/*}"
	for piece in 'GET /vm1' '/out/1 HTT' 'P/1.1\r\nHo' 'st: a\r\nConnection: close\r\n\r' '\n'; do
		printf '%b' "$piece" >&4
		sleep 0.05
	done
	[[ $(timeout 10 cat <&4) == *one ]]
	exec 4>&-
}

@test "ranges: the first, the last, the middle, several, none that can be had" {
	random 100000 >"$D/x"
	serve
	get -r 0-0 "$URL/x" | cmp - <(head -c 1 "$D/x")
	get -r -7 "$URL/x" | cmp - <(tail -c 7 "$D/x")
	get -r 99990- "$URL/x" | cmp - <(tail -c 10 "$D/x")
	get -r 40000-69999 "$URL/x" | cmp - <(tail -c +40001 "$D/x" | head -c 30000)
	[ "$(code -r 5-9 "$URL/x")" = 206 ]
	[ "$(code -r 100000- "$URL/x")" = 416 ]
	run get -I -r 5-9 "$URL/x"
	[[ $output == *"Content-Range: bytes 5-9/100000"* ]]
	get -D "$BATS_TEST_TMPDIR/head" -r 0-3,50000-50009,-2 "$URL/x" >"$BATS_TEST_TMPDIR/parts"
	grep -q 'multipart/byteranges' "$BATS_TEST_TMPDIR/head"
	[ "$(grep -ac '^Content-Range: bytes' "$BATS_TEST_TMPDIR/parts")" = 3 ]
	length=$(sed -n 's/Content-Length: \([0-9]*\).*/\1/p' "$BATS_TEST_TMPDIR/head")
	[ "$(wc -c <"$BATS_TEST_TMPDIR/parts")" = "$length" ]
	python3 - "$BATS_TEST_TMPDIR/parts" "$D/x" <<-'END'
		import sys
		got, x = (open(p, 'rb').read() for p in sys.argv[1:])
		boundary = b'\r\n--' + got[4:].split(b'\r\n', 1)[0]
		parts = [p.split(b'\r\n\r\n', 1)[1] for p in got.split(boundary)[1:-1]]
		assert parts == [x[0:4], x[50000:50010], x[-2:]]
	END
	# What parts them is not to be known by who writes the object.
	[ "$(get -r 0-3,50000-50009,-2 "$URL/x" | sed -n 2p)" != "$(sed -n 2p "$BATS_TEST_TMPDIR/parts")" ]
}

@test "a download is resumed" {
	random 3000000 >"$D/x"
	serve
	head -c 1000000 "$D/x" >"$BATS_TEST_TMPDIR/x"
	get -C - -o "$BATS_TEST_TMPDIR/x" "$URL/x"
	cmp "$BATS_TEST_TMPDIR/x" "$D/x"
}

@test "conditions: ETag, dates, If-Range" {
	echo one >"$D/x"
	touch -d '10 seconds ago' "$D/x"
	serve
	etag=$(get -I "$URL/x" | sed -n 's/^ETag: \(.*\)\r/\1/p')
	date=$(get -I "$URL/x" | sed -n 's/^Last-Modified: \(.*\)\r/\1/p')
	[ "$(code -H "If-None-Match: $etag" "$URL/x")" = 304 ]
	[ "$(code -H "If-None-Match: \"a\", W/$etag" "$URL/x")" = 304 ]
	[ "$(code -H 'If-None-Match: "a"' "$URL/x")" = 200 ]
	[ "$(code -H "If-Modified-Since: $date" "$URL/x")" = 304 ]
	[ "$(code -H "If-Match: \"a\"" "$URL/x")" = 412 ]
	[ "$(code -H "If-Match: $etag" "$URL/x")" = 200 ]
	[ "$(code -r 0-1 -H "If-Range: $etag" "$URL/x")" = 206 ]
	[ "$(code -r 0-1 -H "If-Range: $date" "$URL/x")" = 206 ]
	[ "$(code -r 0-1 -H 'If-Range: "a"' "$URL/x")" = 200 ]
	echo two >"$D/x"
	[ "$(code -H "If-None-Match: $etag" "$URL/x")" = 200 ]
}

@test "a date that tells nothing yet: of this second, and of a clock that is ahead" {
	echo one >"$D/x"
	touch -d '1 hour' "$D/x"
	serve
	get -I "$URL/x" >"$BATS_TEST_TMPDIR/head"
	date=$(sed -n 's/^Date: //p' "$BATS_TEST_TMPDIR/head")
	[ "$(sed -n 's/^Last-Modified: //p' "$BATS_TEST_TMPDIR/head")" = "$date" ]
	[ "$(code -r 0-1 -H "If-Range: $(LC_ALL=C date -u -r "$D/x" '+%a, %d %b %Y %H:%M:%S GMT')" "$URL/x")" = 200 ]
	touch -d '2 seconds ago' "$D/x"
	[ "$(code -r 0-1 -H "If-Range: $(LC_ALL=C date -u -r "$D/x" '+%a, %d %b %Y %H:%M:%S GMT')" "$URL/x")" = 206 ]
}

@test "304 has what a cache needs as 200 has it: Vary, Cache-Control, ETag, Last-Modified" {
	echo one | tee "$D/x.zst" "$D/x.mpd" >"$D/y"
	serve
	for x in x x.mpd y; do
		get -I -H 'Accept-Encoding: zstd' "$URL/$x" >"$BATS_TEST_TMPDIR/200"
		get -I -H 'Accept-Encoding: zstd' -H 'If-None-Match: *' "$URL/$x" >"$BATS_TEST_TMPDIR/304"
		grep -q ' 304 ' "$BATS_TEST_TMPDIR/304"
		for code in 200 304; do
			grep -E '^(Vary|Cache-Control|ETag|Last-Modified):' "$BATS_TEST_TMPDIR/$code" >"$BATS_TEST_TMPDIR/$code.cache"
		done
		cmp "$BATS_TEST_TMPDIR/200.cache" "$BATS_TEST_TMPDIR/304.cache"
	done
	grep -q 'Vary: Accept-Encoding' <(get -I -H 'Accept-Encoding: zstd' -H 'If-None-Match: *' "$URL/x")
}

@test "what is refused, and with what" {
	echo one >"$D/x"
	serve
	[ "$(code "$URL/nope")" = 404 ]
	[ "$(code "${URL%/out}/other/x")" = 404 ]
	[ "$(code -X POST "$URL/x")" = 405 ]
	[ "$(code -d body "$URL/x")" = 413 ]
	[ "$(code --path-as-is "$URL/../out/x")" = 400 ]
	[ "$(code --path-as-is "$URL/%2e%2e/out/x")" = 400 ]
	[ "$(code "$URL/$(printf '%09000d' 1)")" = 414 ]
	[ "$(code -H "A: $(printf '%09000d' 1)" "$URL/x")" = 431 ]
	[ "$(code -H 'Transfer-Encoding: gzip' "$URL/x")" = 501 ]
	[[ $(raw 'GET / HTTP/2.0\r\n\r\n') == "HTTP/1.1 505 "* ]]
	[[ $(raw 'GET /vm1/out/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /vm1/out/x HTTP/1.1\r\nHost: a\r\n\r\n') == "HTTP/1.1 400 "* ]]
	[ "$(raw 'GET /vm1/out/x HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\nGET /vm1/out/x HTTP/1.1\r\nHost: a\r\n\r\n' | grep -ac '^HTTP/1.1')" = 1 ]
}

@test "hostile names: links, FIFOs, sockets, folders, newlines, what is reserved" {
	echo secret >"$BATS_TEST_TMPDIR/secret"
	ln -s "$BATS_TEST_TMPDIR/secret" "$D/link"
	ln -s /etc "$D/folder"
	mkfifo "$D/fifo"
	mkdir "$D/dir"
	echo part >"$D/.memnet/part/1"
	mkdir "$D/.virtfs_metadata"
	echo meta >"$D/.virtfs_metadata/x"
	echo odd >"$D/$(printf 'a\nb\r\n<%%>"')"
	serve --listing
	for name in link folder/passwd fifo dir .memnet/part/1 .virtfs_metadata/x ./x dir/ ''; do
		[ "$(code "$URL/$name")" != 200 ] || [ "$name" = dir/ ] || [ "$name" = '' ]
	done
	[ "$(code "$URL/link")" = 404 ]
	[ "$(code "$URL/fifo")" = 404 ]
	[ "$(code "$URL/.memnet/part/1")" = 404 ]
	[ "$(code "$URL/%2ememnet/part/1")" = 404 ]
	[ "$(get "$URL/a%0Ab%0D%0A%3C%25%3E%22")" = odd ]
	run get "$URL/"
	[[ $output == *'a%0Ab%0D%0A%3C%25%3E%22'* && $output == *'&lt;%&gt;&quot;'* ]]
	[[ $output != *link* && $output != *fifo* && $output != *memnet/* && $output != *virtfs* ]]
	get -H 'Accept: application/json' "$URL/" | python3 -c '
import json, sys
entries = json.load(sys.stdin)["entries"]
assert [e["name"] for e in entries] == ["a\nb\r\n<%>\"", "dir"], entries'
}

@test "a replaced object is never served stale" {
	serve
	echo 0 >"$D/x"
	sleep 0.1
	for i in $(seq 100); do
		get "$URL/x" >/dev/null
		echo "$i" >"$D/.memnet/part/x"
		mv "$D/.memnet/part/x" "$D/x"
		[ "$(get "$URL/x")" = "$i" ]
	done
	rm "$D/x"
	[ "$(code "$URL/x")" = 404 ]
}

@test "an object that is removed is let go, though it was served a moment ago" {
	command -v lsof >/dev/null || [ -d /proc/self/fd ] || skip "no /proc"
	echo one >"$D/x"
	sleep 0.1
	serve
	get "$URL/x" >/dev/null
	rm "$D/x"
	until_true sh -c "! ls -l /proc/$SERVER/fd | grep -q 'vm1/out'"
}

@test "an object is let go when the last one has it, long after the last request" {
	random 30000000 >"$D/x"
	sleep 0.1
	serve
	get --limit-rate 8M "$URL/x" | cmp - "$D/x"
	rm "$D/x"
	until_true sh -c "! ls -l /proc/$SERVER/fd | grep -q 'vm1/out'"
}

@test "a space unmounted this moment is not there: 404" {
	small_space
	serve
	echo one | tee "$D/x" >"$D/y"
	python3 - "$URL/" "$D" <<-'END'
		import http.client, subprocess, sys, urllib.parse
		url = urllib.parse.urlsplit(sys.argv[1])
		c = http.client.HTTPConnection(url.netloc, timeout=10)
		def status(name):
		    c.request('GET', url.path + name)
		    r = c.getresponse()
		    r.read()
		    return r.status
		assert status("x") == 200
		subprocess.check_call(['umount', '-l', sys.argv[2]])
		got = status("y")
		assert got == 404, got
	END
	MOUNTED=
}

@test "an object truncated in flight is a broken transfer, not a short one" {
	random 30000000 >"$D/x"
	serve
	begin_slowly 4M x
	truncate -s 1000 "$D/x"
	run wait "$FETCHER"
	[ "$status" -ne 0 ]
	[ "$status" -ne 28 ]
	[ "$(code "$URL/x")" = 200 ]
}

# live NAME — makes it live; `finish NAME` ends it.
live() {
	echo >"$D/.memnet/live/${1//\//%2F}"
	: >"$D/$1"
}

finish() {
	rm "$D/.memnet/live/${1//\//%2F}"
}

@test "a live object is followed to its end, by early and late clients" {
	serve
	mkdir "$D/sub"
	live sub/l
	get "$URL/sub/l" >"$BATS_TEST_TMPDIR/early" &
	early=$!
	for i in $(seq 20); do
		random 30000 >>"$D/sub/l"
		[ "$i" != 10 ] || get "$URL/sub/l" >"$BATS_TEST_TMPDIR/late" &
		sleep 0.02
	done
	run get -I "$URL/sub/l"
	[[ $output == *"Transfer-Encoding: chunked"* && $output != *Content-Length* ]]
	random 10 >>"$D/sub/l"
	finish sub/l
	wait "$early"
	cmp "$BATS_TEST_TMPDIR/early" "$D/sub/l"
	until_true cmp -s "$BATS_TEST_TMPDIR/late" "$D/sub/l"
	run get -I "$URL/sub/l"
	[[ $output == *"Content-Length: 600010"* ]]
}

@test "a client that waits for a live object is asked now and then whether it is there" {
	serve
	live l
	random 3000 >>"$D/l"
	local at=${URL#http://*:}
	get "$URL/l" >/dev/null &
	client=$!
	until_true eval "ss -tnoH sport = :${at%%/*} | grep -F 'timer:(keepalive,'"
	finish l
	wait "$client"
}

@test "a live object by range: history with an end, the edge without one" {
	serve
	live l
	random 50000 >>"$D/l"
	get -r 100-199 "$URL/l" | cmp - <(tail -c +101 "$D/l" | head -c 100)
	run get -I -r 100-199 "$URL/l"
	[[ $output == *"Content-Range: bytes 100-199/*"* ]]
	run get -I -r 100-999999 "$URL/l"
	[[ $output == *"Content-Range: bytes 100-49999/*"* && $output == *"Content-Length: 49900"* ]]
	[ "$(code -r 50001- "$URL/l")" = 416 ]
	# It has no tag yet, but it is there.
	[ "$(code -r 0-9 -H 'If-Match: *' "$URL/l")" = 206 ]
	[ "$(code -r 0-9 -H 'If-Match: "a"' "$URL/l")" = 412 ]
	[ "$(code -r 0-9 -H 'If-None-Match: *' "$URL/l")" = 304 ]
	[ "$(code -r 0-9 -H 'If-None-Match: "a"' "$URL/l")" = 206 ]
	get -r 50000- "$URL/l" >"$BATS_TEST_TMPDIR/edge" &
	client=$!
	sleep 0.1
	random 70000 >>"$D/l"
	finish l
	wait "$client"
	cmp "$BATS_TEST_TMPDIR/edge" <(tail -c +50001 "$D/l")
}

@test "HTTP/1.0: a live object is ended by the connection's end" {
	serve
	live l
	random 50000 >>"$D/l"
	get --http1.0 "$URL/l" >"$BATS_TEST_TMPDIR/got" &
	client=$!
	sleep 0.1
	random 100 >>"$D/l"
	finish l
	wait "$client"
	cmp "$BATS_TEST_TMPDIR/got" "$D/l"
}

@test "a writer that gives up, shrinks or loses its object: a broken transfer, each time" {
	serve
	for how in 'rm -f' 'truncate -s 10'; do
		for version in --http1.0 --http1.1; do
			live l
			random 50000 >>"$D/l"
			curl -s --max-time 20 $version -o "$BATS_TEST_TMPDIR/got" "$URL/l" &
			client=$!
			until_true test -s "$BATS_TEST_TMPDIR/got"
			$how "$D/l"
			finish l
			run wait "$client"
			[ "$status" -ne 0 ]
			[ "$status" -ne 28 ]
			rm -f "$D/l" "$BATS_TEST_TMPDIR/got"
		done
	done
}

@test "a writer that dies: a broken transfer when its beat has been missing" {
	serve
	live l
	random 50000 >>"$D/l"
	start=$SECONDS
	run curl -s --max-time 40 -o "$BATS_TEST_TMPDIR/got" "$URL/l"
	[ "$status" -ne 0 ]
	[ "$status" -ne 28 ]
	[ $((SECONDS - start)) -ge 9 ]
}

@test "release delivered: removed when a client has it all, not before" {
	serve --release delivered
	random 300000 >"$D/x"
	echo tiny >"$D/y"
	get -r 0-99999 "$URL/x" >/dev/null
	get -I "$URL/y" >/dev/null
	[ "$(code -H 'If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT' "$URL/y")" = 304 ]
	sleep 0.1
	[ -e "$D/x" ]
	[ -e "$D/y" ]
	cp "$D/x" "$BATS_TEST_TMPDIR/want"
	get "$URL/x" "$URL/y" >"$BATS_TEST_TMPDIR/got"
	until_true gone "$D/x"
	until_true gone "$D/y"
	cmp "$BATS_TEST_TMPDIR/got" <(cat "$BATS_TEST_TMPDIR/want" && echo tiny)
	[ "$(code "$URL/x")" = 404 ]
}

@test "release delivered: a client that goes away releases nothing, and may resume" {
	serve --release delivered
	random 30000000 >"$D/x"
	cp "$D/x" "$BATS_TEST_TMPDIR/want"
	run curl -s --limit-rate 2M --max-time 1 -o "$BATS_TEST_TMPDIR/got" "$URL/x"
	[ "$status" = 28 ]
	sleep 0.1
	cmp "$D/x" "$BATS_TEST_TMPDIR/want"
	get -C - -o "$BATS_TEST_TMPDIR/got" "$URL/x"
	cmp "$BATS_TEST_TMPDIR/got" "$BATS_TEST_TMPDIR/want"
	until_true gone "$D/x"
}

@test "release delivered: not while another client reads" {
	serve --release delivered
	random 20000000 >"$D/x"
	cp "$D/x" "$BATS_TEST_TMPDIR/want"
	port=${URL#*:*:}
	exec 4<>"/dev/tcp/127.0.0.1/${port%%/*}"
	printf 'GET /vm1/out/x HTTP/1.0\r\n\r\n' >&4
	read -r -t 20 line <&4 # and of what follows it reads nothing as yet
	[[ $line == *" 200 "* ]]
	get "$URL/x" | cmp - "$BATS_TEST_TMPDIR/want"
	[ -e "$D/x" ]
	timeout 20 cat <&4 | tail -c 20000000 >"$BATS_TEST_TMPDIR/slow"
	exec 4>&-
	cmp "$BATS_TEST_TMPDIR/slow" "$BATS_TEST_TMPDIR/want"
	until_true gone "$D/x"
}

# Writes the file in pieces, waiting for room as a guest does.
cat >"$BATS_FILE_TMPDIR/writer.py" <<'END'
import errno, os, sys, time
source, space, name = sys.argv[1:]
data = open(source, 'rb').read()
marker = os.open(f'{space}/.memnet/live/{name}', os.O_CREAT | os.O_WRONLY)
os.write(marker, b'\n')
out = os.open(f'{space}/{name}', os.O_CREAT | os.O_WRONLY)
at = blocked = 0
while at < len(data):
    try:
        at += os.write(out, data[at:at + 262144])
    except OSError as e:
        assert e.errno == errno.ENOSPC
        blocked += 1
        os.pwrite(marker, b'\n', 0)
        time.sleep(0.005)
os.unlink(f'{space}/.memnet/live/{name}')
print(blocked)
END

# small_space [MOUNT-OPTIONS]
small_space() {
	mount -t tmpfs -o "${1-size=8m}" memnet-test "$D" 2>/dev/null || skip "cannot mount here"
	MOUNTED=$D
	mkdir -p "$D/.memnet/part" "$D/.memnet/live"
}

# empty — the space is; the server may have what it unlinked open a moment longer.
empty() {
	[ "$(df --output=used "$D" | tail -1)" -lt 100 ]
}

# given_back NAME — its first bytes have been.
given_back() {
	# shellcheck disable=SC2046 # numbers
	set -- $(stat -c '%s %b' "$D/$1")
	[ $(($1 - $2 * 512)) -gt 1000000 ]
}

flows_through() {
	serve --release delivered
	random 40000000 >"$BATS_TEST_TMPDIR/want"
	timeout 60 python3 "$BATS_FILE_TMPDIR/writer.py" "$BATS_TEST_TMPDIR/want" "$D" l >"$BATS_TEST_TMPDIR/blocked" &
	writer=$!
	until_true test -e "$D/l"
	get "$URL/l" >"$BATS_TEST_TMPDIR/got" &
	client=$!
	until_true sh -c "[ \$(stat -c %s '$D/l' 2>/dev/null || echo 9999999999) -gt 12000000 ]"
	wait "$writer"
	wait "$client"
	cmp "$BATS_TEST_TMPDIR/got" "$BATS_TEST_TMPDIR/want"
	until_true gone "$D/l"
	until_true empty
}

@test "release delivered: an object larger than its space flows through" {
	small_space
	flows_through
}

@test "release delivered: also through a space of less than a huge page, in huge pages" {
	small_space size=1m,huge=within_size
	flows_through
}

# The client's TCP has it, and its program has not read it yet.
unread_stays() {
	serve --release delivered
	live l
	random 1000000 >"$BATS_TEST_TMPDIR/want"
	cat "$BATS_TEST_TMPDIR/want" >>"$D/l"
	python3 - "${URL%/vm1/out}" "$D/l" >"$BATS_TEST_TMPDIR/got" <<-'END'
		import os, socket, sys, time
		s = socket.create_connection(('127.0.0.1', int(sys.argv[1].rsplit(':', 1)[1])))
		s.sendall(b'GET /vm1/out/l HTTP/1.0\r\n\r\n')
		late = time.monotonic() + 10
		while os.stat(sys.argv[2]).st_blocks * 512 > 900000:
		    assert time.monotonic() < late, 'nothing is given back'
		    time.sleep(0.01)
		os.unlink(os.path.dirname(sys.argv[2]) + '/.memnet/live/l')
		got = b''
		while b := s.recv(1 << 20):
		    got += b
		sys.stdout.buffer.write(got.split(b'\r\n\r\n', 1)[1])
	END
	cmp "$BATS_TEST_TMPDIR/got" "$BATS_TEST_TMPDIR/want"
}

@test "release delivered: what a client has not read yet stays as it was, on any file system" {
	unread_stays
}

@test "release delivered: what a client has not read yet stays as it was, on tmpfs" {
	small_space
	unread_stays
}

@test "release delivered: what was given back is 410, also after a restart; the rest is served" {
	small_space
	serve --release delivered
	random 40000000 >"$BATS_TEST_TMPDIR/want"
	timeout 60 python3 "$BATS_FILE_TMPDIR/writer.py" "$BATS_TEST_TMPDIR/want" "$D" l >"$BATS_TEST_TMPDIR/blocked" &
	writer=$!
	until_true test -e "$D/l"
	begin_slowly 8M l
	until_true given_back l
	kill "$FETCHER"
	run get -i "$URL/l"
	[[ $output == *"410 Gone"* && $output == *"ask for bytes="* ]]
	kill -9 "$SERVER"
	wait "$SERVER" || true
	serve
	[ "$(code "$URL/l")" = 410 ]
	stop || true
	serve --release delivered
	[ "$(code "$URL/l")" = 410 ]
	from=$(get "$URL/l" | sed 's/.*bytes=\([0-9]*\)-/\1/')
	get -r "$from-" "$URL/l" >"$BATS_TEST_TMPDIR/rest"
	wait "$writer"
	cmp "$BATS_TEST_TMPDIR/rest" <(tail -c "+$((from + 1))" "$BATS_TEST_TMPDIR/want")
	until_true gone "$D/l"
}

# left_behind — a job whose only client has gone in the middle: $JOB
left_behind() {
	small_space
	serve --release delivered --metrics 127.0.0.1:0 "$@"
	random 40000000 >"$BATS_TEST_TMPDIR/l"
	timeout 60 memnet compress --live --to "$D" "$BATS_TEST_TMPDIR/l" 2>"$BATS_TEST_TMPDIR/job" 3>&- &
	JOB=$!
	until_true test -e "$D/l.zst"
	begin_slowly 8M l.zst
	until_true given_back l.zst
	kill "$FETCHER"
}

@test "release delivered: a job whose client does not come back is told so, and its room is free" {
	left_behind --abandon 1s
	ended=0
	wait "$JOB" || ended=$?
	[ "$ended" = 1 ]
	grep -q 'l.zst: dropped on the host' "$BATS_TEST_TMPDIR/job"
	until_true grep -q '/vm1/out/l.zst: dropped: given back in part' "$BATS_TEST_TMPDIR/err"
	[ "$(code "$URL/l.zst")" = 404 ]
	[ -z "$(find "$D/.memnet/live" "$D/.memnet/part" -type f)" ]
	until_true empty
	# the next one has all of the space
	random 5000000 >"$BATS_TEST_TMPDIR/next"
	timeout 20 memnet compress --to "$D" "$BATS_TEST_TMPDIR/next"
}

# go_on CURL-OPTION… — from where l.zst was given back; that may move on while the last client's end is noticed (410),
# and a client's time be over before it was answered (000)
go_on() {
	answer=410
	while [ "$answer" = 410 ] || [ "$answer" = 000 ]; do
		kill -0 "$SERVER"
		from=$(get "$URL/l.zst" | sed 's/.*bytes=\([0-9]*\)-/\1/')
		answer=$(curl -s --max-time 20 "$@" -o /dev/null -w '%{http_code}' -r "$from-" "$URL/l.zst" || true)
	done
	[ "$answer" = 206 ] || { echo "from $from: $answer" && return 1; }
}

@test "release delivered: a client that comes back in time has the rest" {
	left_behind --abandon 6s
	# Longer than that together. Each takes what its socket holds with it: of 40 MB enough is left.
	go_on --limit-rate 200K --max-time 4
	go_on --limit-rate 200K --max-time 4
	go_on
	wait "$JOB"
	until_true gone "$D/l.zst"
	[ "$(grep -c dropped "$BATS_TEST_TMPDIR/err")" = 0 ]
}

@test "release ttl: what nobody has written or read for that long" {
	echo old >"$D/old"
	echo young >"$D/young"
	mkdir "$D/sub"
	echo deep >"$D/sub/old"
	live l
	echo secret >"$BATS_TEST_TMPDIR/outside"
	ln -s "$BATS_TEST_TMPDIR" "$D/link"
	touch -d '1 hour ago' "$D/old" "$D/sub/old" "$D/l" "$BATS_TEST_TMPDIR/outside"
	serve --release ttl:30m
	until_true gone "$D/old"
	until_true gone "$D/sub/old"
	[ -e "$D/young" ]
	[ -e "$D/l" ]
	[ -e "$BATS_TEST_TMPDIR/outside" ]
}

@test "release lru: the eldest, when a space is nearly full" {
	small_space
	for i in 1 2 3 4 5 6 7; do
		random 1000000 >"$D/$i"
		touch -d "$((60 - i)) minutes ago" "$D/$i"
	done
	serve --release lru
	get "$URL/1" >/dev/null
	random 600000 >"$D/8"
	until_true gone "$D/2"
	[ -e "$D/1" ]
	[ -e "$D/8" ]
	[ -e "$D/7" ]
}

@test "spaces that come, go and are another one: no restart" {
	rm -r "$D"
	serve
	[ "$(code "$URL/x")" = 404 ]
	mkdir "$D"
	echo one >"$D/x"
	[ "$(get "$URL/x")" = one ]
	mv "$D" "$D.old"
	mkdir "$D"
	sleep 0.1
	[ "$(code "$URL/x")" = 404 ]
	echo two >"$D/x"
	[ "$(get "$URL/x")" = two ]
}

@test "an idle server keeps no space from being unmounted" {
	small_space
	echo x >"$D/x"
	serve
	get "$URL/x" >/dev/null
	until_true umount "$D" 2>/dev/null
	MOUNTED=
	[ "$(code "$URL/x")" = 404 ]
}

@test "zstd for who accepts it" {
	seq 10000 | zstd -q >"$D/t.txt.zst"
	serve
	[ "$(code "$URL/t.txt")" = 404 ]
	run get -I -H 'Accept-Encoding: gzip, zstd' "$URL/t.txt"
	[[ $output == *"Content-Encoding: zstd"* && $output == *"Content-Type: text/plain"* ]]
	[[ $output == *"Vary: Accept-Encoding"* ]]
	get -H 'Accept-Encoding: zstd' "$URL/t.txt" | zstd -dq | cmp - <(seq 10000)
	get "$URL/t.txt.zst" | cmp - "$D/t.txt.zst"
}

@test "other pages' scripts, where they are let" {
	echo x >"$D/x"
	run memnet stream --cors '' vm1/out
	[ "$status" = 2 ]
	serve --cors https://player.example
	run get -i "$URL/x"
	[[ $output == *"Access-Control-Allow-Origin: https://player.example"* ]]
	run get -i -X OPTIONS "$URL/x"
	[[ $output == *"204 No Content"* && $output == *"Access-Control-Allow-Headers: Range"* ]]
}

@test "an access log on a full disk is told of once, and serving goes on" {
	echo x >"$D/x"
	serve --access-log /dev/full
	for _ in 1 2 3; do
		[ "$(get "$URL/x")" = x ]
	done
	stop
	[ "$(grep -c 'access log: No space left on device' "$BATS_TEST_TMPDIR/err")" = 1 ]
}

@test "the access log, and its rotation" {
	echo x >"$D/x"
	serve --access-log "$BATS_TEST_TMPDIR/log"
	# shellcheck disable=SC1003 # a backslash it is
	get -A 'evil" \' -e "$(printf 'r\xff')" "$URL/x"
	until_true grep -q 'GET /vm1/out/x HTTP/1.1" 200 2 "r\\xff" "evil\\x22 \\x5c"$' "$BATS_TEST_TMPDIR/log"
	mv "$BATS_TEST_TMPDIR/log" "$BATS_TEST_TMPDIR/log.1"
	kill -HUP "$SERVER"
	until_true test -e "$BATS_TEST_TMPDIR/log"
	get "$URL/nope" >/dev/null
	until_true grep -q ' 404 ' "$BATS_TEST_TMPDIR/log"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/log.1")" = 1 ]
	stop
	serve --access-log "$BATS_TEST_TMPDIR/json" --log-format json
	get -A 'a"b' "$URL/x"
	until_true test -s "$BATS_TEST_TMPDIR/json"
	python3 -c 'import json, sys
line = json.loads(open(sys.argv[1]).readline())
assert line["schema"] == 1 and line["status"] == 200 and line["bytes"] == 2
assert line["agent"] == "a\"b" and line["complete"] is True' "$BATS_TEST_TMPDIR/json"
}

@test "metrics" {
	random 5000 >"$D/x"
	metrics=127.0.0.1:$(free_ports 1)
	serve --metrics "$metrics"
	get "$URL/x" "$URL/nope" >/dev/null
	run get "http://$metrics/metrics"
	[[ $output == *'memnet_stream_responses_total{status="2xx"} 1'* ]]
	[[ $output == *'memnet_stream_responses_total{status="4xx"} 1'* ]]
	[[ $output == *'memnet_stream_space_requests_total{space="vm1/out"} 1'* ]]
	[[ $output == *'# EOF' ]]
	[ "$(code "http://$metrics/vm1/out/x")" = 404 ]
	stop
	cp "$D/x" "$D/y"
	serve --metrics "$metrics" --release delivered --rate 3MB --client-rate 2MB
	get "$URL/y" >/dev/null
	until_true gone "$D/y"
	get "http://$metrics/metrics" >"$BATS_TEST_TMPDIR/figures"
	cat "$BATS_TEST_TMPDIR/figures"
	for figure in listen_port=$(sed 's/.*:\([0-9]*\)\/.*/\1/' <<<"$URL") rate_limit_bytes=3000000 client_rate_limit_bytes=2000000 \
		released_objects_total=1 abandoned_objects_total=0 aborted_total=0 stalled_total=0; do
		grep -x "memnet_stream_${figure/=/ }" "$BATS_TEST_TMPDIR/figures"
	done
	for figure in requests_total=1 released_bytes_total=5000 stalled_total=0 clients=0 edge_clients=0 backlog_bytes=0 rate_limit_bytes=0; do
		grep -xF "memnet_stream_space_${figure%=*}{space=\"vm1/out\"} ${figure#*=}" "$BATS_TEST_TMPDIR/figures"
	done
	grep -E '^memnet_stream_space_sent_bytes_total\{space="vm1/out"\} 5[0-9]{3}$' "$BATS_TEST_TMPDIR/figures"
	grep -E '^memnet_stream_cpu_seconds_per_gigabyte [0-9.]+$' "$BATS_TEST_TMPDIR/figures"
	[ "$(code "${URL%/vm1/out}/metrics")" = 404 ]
}

@test "metrics: the memory that a space holds, while it is there" {
	small_space
	chmod 755 "$BATS_TEST_TMPDIR"
	metrics=127.0.0.1:$(free_ports 1)
	serve --metrics "$metrics" --release delivered --user nobody
	held() { get "http://$metrics/metrics" | sed -n 's/^memnet_stream_space_held_bytes{space="vm1.out"} //p'; }
	before=$(held)
	random 1048576 >"$D/x"
	[ $(($(held) - before)) = 1048576 ]
	get "$URL/x" >/dev/null
	until_true gone "$D/x"
	[ "$(held)" = "$before" ]
	until_true umount "$D"
	MOUNTED=
	[ -z "$(held)" ]
}

@test "rates: one client's, and all together's" {
	random 3000000 >"$D/x"
	serve --client-rate 2MB
	seconds=$(get -o /dev/null -w '%{time_total}' "$URL/x")
	awk "BEGIN { exit !($seconds > 0.9) }"
	stop
	serve --rate 3MB
	start=$(date +%s%N)
	get -Z -o /dev/null "$URL/x" -o /dev/null "$URL/x"
	took=$((($(date +%s%N) - start) / 1000000))
	[ "$took" -gt 1700 ]
}

@test "several workers" {
	random 100000 >"$D/x"
	serve --workers 3
	for _ in 1 2 3 4 5 6 7 8; do
		get "$URL/x" | cmp - "$D/x" &
	done
	# shellcheck disable=SC2046 # numbers
	wait $(jobs -p | grep -v "^$SERVER\$")
	stop
}

@test "SIGTERM lets a transfer end, a second server takes the port meanwhile refused" {
	random 10000000 >"$D/x"
	serve
	curl -s --limit-rate 8M --max-time 20 -o "$BATS_TEST_TMPDIR/got" "$URL/x" &
	client=$!
	until_true test -s "$BATS_TEST_TMPDIR/got"
	run memnet stream --listen "${URL%/vm1/out}" "$D"
	[ "$status" = 5 ]
	stop
	wait "$client"
	cmp "$BATS_TEST_TMPDIR/got" "$D/x"
}

@test "SIGTERM's patience has an end" {
	random 30000000 >"$D/x"
	serve --drain 300ms
	curl -s --limit-rate 1M --max-time 20 -o "$BATS_TEST_TMPDIR/got" "$URL/x" &
	client=$!
	until_true test -s "$BATS_TEST_TMPDIR/got"
	stop
	run wait "$client"
	[ "$status" -ne 0 ]
}

@test "systemd: ready, stopping, and a socket handed over" {
	python3 - "$D" <<-'END'
		import os, socket, subprocess, sys, urllib.request
		folder = sys.argv[1]
		open(folder + '/x', 'w').write('handed')
		notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		notify.bind('\0memnet-test-%d' % os.getpid())
		notify.settimeout(10)
		listener = socket.create_server(('127.0.0.1', 0))
		def child():
		    os.dup2(listener.fileno(), 3)
		    os.set_inheritable(3, True)
		    os.environ['LISTEN_PID'] = str(os.getpid())
		script = 'LISTEN_PID=$$ exec memnet stream ' + folder
		env = dict(os.environ, LISTEN_FDS='1', NOTIFY_SOCKET='@memnet-test-%d' % os.getpid())
		server = subprocess.Popen(['sh', '-c', script], env=env, close_fds=False, preexec_fn=child)
		assert notify.recv(100) == b'READY=1'
		url = 'http://127.0.0.1:%d/out/x' % listener.getsockname()[1]
		assert urllib.request.urlopen(url, timeout=10).read() == b'handed'
		server.terminate()
		assert notify.recv(100) == b'STOPPING=1'
		assert server.wait(10) == 0
	END
}

@test "systemd: one socket handed over is used, more or another kind are refused, an open one is warned of" {
	python3 - "$D" <<-'END'
		import os, socket, subprocess, sys
		def run(listener, count):
		    def child():
		        for fd in range(3, 3 + count):
		            os.dup2(listener.fileno(), fd)
		            os.set_inheritable(fd, True)
		    env = dict(os.environ, LISTEN_FDS=str(count))
		    return subprocess.Popen(['sh', '-c', 'LISTEN_PID=$$ exec memnet stream "$0"',
		        sys.argv[1]], env=env, close_fds=False, preexec_fn=child, stderr=subprocess.PIPE, text=True)
		tcp = socket.create_server(('0.0.0.0', 0))
		tcp = socket.fromfd(os.dup2(tcp.fileno(), 20), socket.AF_INET, socket.SOCK_STREAM)
		refused = run(tcp, 2)
		assert '2 sockets handed over' in refused.stderr.readline() and refused.wait(10) == 1
		local = socket.socket(socket.AF_UNIX)
		local.bind('\0memnet-test-unix-%d' % os.getpid())
		local.listen()
		refused = run(local, 1)
		assert 'not one of TCP' in refused.stderr.readline() and refused.wait(10) == 1
		server = run(tcp, 1)
		assert 'neither encrypted' in server.stderr.readline()
		assert 'listening on' in server.stderr.readline()
		server.terminate()
		assert server.wait(10) == 0
	END
}

@test "few rights are left, as another user, too" {
	[ "$(id -u)" = 0 ] || skip "not root"
	echo mine >"$D/x"
	chmod 600 "$D/x"
	chmod 755 "$BATS_TEST_TMPDIR"
	serve --user nobody --workers 2 --release delivered
	for task in /proc/"$SERVER"/task/*/status; do
		grep -q "^Uid:.$(id -u nobody)" "$task"
		grep -q '^CapEff:.000000000000000e' "$task"
		grep -q '^CapPrm:.000000000000000e' "$task"
		grep -q '^NoNewPrivs:.1' "$task"
		grep -q '^Seccomp:.2' "$task"
	done
	[ "$(get "$URL/x")" = mine ]
	until_true gone "$D/x"
	run memnet stream --user no-such-user "$D"
	[ "$status" = 2 ]
}

@test "options are checked, and errors say what to do" {
	run memnet stream --listen ftp://x vm1/out
	[ "$status" = 2 ]
	[[ $output == *"want http://ADDRESS:PORT"* ]]
	run memnet stream --release sometimes vm1/out
	[ "$status" = 2 ]
	run memnet stream
	[ "$status" = 2 ]
	run memnet stream "$D" "$D"
	[ "$status" = 2 ]
	run memnet stream /nonexistent
	[ "$status" = 1 ]
	run timeout 20 memnet stream --log-format json "$D"
	[[ $status = 2 && $output == *"--log-format is for --access-log"* ]]
	run memnet stream --congestion nonesuch "$D"
	[ "$status" = 1 ]
	[[ $output == *"tcp_available_congestion_control"* ]]
}

@test "a warning in words when others can connect" {
	echo x >"$D/x"
	serve --listen http://0.0.0.0:0
	grep -q 'neither encrypted nor authenticated' "$BATS_TEST_TMPDIR/err"
}

@test "a folder that is no space is not released unasked" {
	mkdir "$BATS_TEST_TMPDIR/photos"
	random 1000 >"$BATS_TEST_TMPDIR/photos/x"
	for release in delivered ttl:1s lru; do
		run timeout 10 memnet stream --listen http://127.0.0.1:0 --release "$release" "$BATS_TEST_TMPDIR/photos"
		[ "$status" = 7 ]
		[[ $output == *"photos: a folder that is no space"*"--force"* ]]
	done
	run timeout 10 memnet stream --push unix:///nowhere --once --release delivered "$BATS_TEST_TMPDIR/photos"
	[ "$status" = 7 ]
	run timeout 10 memnet stream --force "$BATS_TEST_TMPDIR/photos"
	[ "$status" = 2 ]
	serve --release delivered --force "$BATS_TEST_TMPDIR/photos"
	get -o /dev/null "${URL%/vm1/out}/photos/x"
	until_true gone "$BATS_TEST_TMPDIR/photos/x"
	stop
	serve --release delivered "$D"
	random 1000 >"$D/y"
	get -o /dev/null "${URL%/vm1/out}/out/y"
	until_true gone "$D/y"
}
