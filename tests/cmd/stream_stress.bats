#!/usr/bin/env bats
# memnet stream under stress: slow clients (slowhttptest), ten thousand of them, kill -9 and restart under load, and
# half a minute of make soak.

# shellcheck disable=SC2030,SC2031 # each test has its own PIDS

load stream.bash

setup() {
	stream_begin
	GOT=$BATS_TEST_TMPDIR/got
	mkdir "$GOT"
}

teardown() {
	stream_end
	[ -z "${MOUNTED-}" ] || umount -l "$MOUNTED"
}

# of its own, in KB
memory() {
	awk '/^RssAnon/ { print $2 }' "/proc/$SERVER/status"
}

descriptors() {
	find "/proc/$SERVER/fd" -type l | wc -l
}

port() {
	local port=${URL#*:*:}
	echo "${port%%/*}"
}

connections_at_most() {
	[ "$(descriptors)" -le $((BEFORE + $1)) ]
}

# within SECONDS COMMAND…
within() {
	local late=$((SECONDS + $1))
	until "${@:2}"; do
		[ $SECONDS -lt $late ] || { echo "not in $1 s: ${*:2}" && return 1; }
		sleep 0.2
	done
}

# slow OPTION… — slowhttptest in the background, for two minutes and a half if it is let: 200 connections at once
slow() {
	slowhttptest "$@" -c 200 -r 200 -u "$URL/x" -p 2 -l 150 -v 0 >/dev/null 2>&1 3>&- &
	PIDS+=($!)
}

# The deadlines are 30 s for a request's head, 60 s without a byte taken.
@test "slow heads, bodies and readers: shut out in time, and the others go on at once" {
	command -v slowhttptest >/dev/null || skip "needs slowhttptest"
	random 8000000 >"$D/x"
	serve
	BEFORE=$(descriptors)
	had=$(memory)
	slow -H -i 3 -x 10
	slow -B -i 3 -x 10 -s 100000
	slow -X -n 3 -z 5 -w 200 -y 400
	began=$SECONDS
	within 30 sh -c "[ \$(find /proc/$SERVER/fd -type l | wc -l) -ge $((BEFORE + 350)) ]"
	most=0 longest=0
	for _ in $(seq 25); do
		sleep 0.2
		took=$(get -w '%{time_total}' -o "$GOT/x" "$URL/x")
		cmp "$GOT/x" "$D/x"
		longest=$(printf '%s\n' "$longest" "$took" | sort -g | tail -1)
		now=$(memory)
		[ "$now" -le "$most" ] || most=$now
	done
	echo "# the others: 8 MB in $longest s at most; memory $had KB, $most KB with the slow ones" >&3
	awk "BEGIN { exit !($longest < 10) }" # far from waiting for a deadline, on the busiest machine
	[ $((most - had)) -lt 8192 ]
	within 100 connections_at_most 200
	heads=$((SECONDS - began))
	within $((140 - heads)) connections_at_most 0
	echo "# closed: heads and bodies after $heads s, readers after $((SECONDS - began)) s" >&3
	[ $((SECONDS - began)) -lt 140 ] # not by themselves
}

# many COUNT — tests/host/many.py, on file descriptors 5 (to) and 6 (from)
many() {
	mkfifo "$GOT/to" "$GOT/from"
	python3 "$MEMNET_SRC/tests/host/many.py" "$(port)" /vm1/out/x "$D/x" "$@" <"$GOT/to" >"$GOT/from" 3>&- &
	MANY=$!
	PIDS+=("$MANY")
	exec 5>"$GOT/to" 6<"$GOT/from"
}

heard() {
	local word
	read -r -t 180 word <&6
	[ "$word" = "$1" ]
}

@test "ten thousand clients: each has its bytes, and memory for each is small" {
	[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 10100 ] || skip "needs 10,100 file descriptors"
	random 1000000 >"$D/x"
	ulimit -Sn 1024 # the server and the client raise it by themselves
	serve
	get "$URL/x" | cmp - "$D/x"
	had=$(memory)
	before=$(descriptors)
	many 10000 180
	heard connected
	until_true sh -c "[ \$(find /proc/$SERVER/fd -type l | wc -l) -ge 10000 ]"
	idle=$(memory)
	echo >&5
	heard asked
	asked=$(memory)
	echo >&5
	heard 'done'
	after=$(memory)
	echo "# 10000 clients: $(((idle - had) * 1024 / 10000)) bytes each when connected, \
$(((asked - had) * 1024 / 10000)) when served, $(((after - had) * 1024 / 10000)) when kept" >&3
	[ $(((asked - had) * 1024 / 10000)) -le 1024 ]
	[ $(((after - had) * 1024 / 10000)) -le 1024 ]
	echo >&5
	wait "$MANY"
	PIDS=()
	until_true sh -c "[ \$(find /proc/$SERVER/fd -type l | wc -l) -le $before ]"
}

@test "more clients than descriptors: a word about it, and they are served when there is one" {
	random 1000000 >"$D/x"
	limit=$(ulimit -Hn)
	[ "$limit" = unlimited ] || [ "$limit" -ge 64 ]
	cat >"$GOT/memnet" <<-END
		#!/bin/sh
		ulimit -n 64
		exec "$MEMNET" "\$@"
	END
	chmod 755 "$GOT/memnet"
	PATH=$GOT:$PATH serve
	python3 - "$(port)" >"$GOT/holds" <<-'END' &
		import socket, sys
		held = [socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=10) for _ in range(70)]
		print('held', flush=True)
		held[69].settimeout(35)  # an idle one is closed after 30 s
		held[69].sendall(b'GET /vm1/out/x HTTP/1.0\r\n\r\n')
		for s in held[:60]:
		    s.close()
		got = b''
		while b := held[69].recv(1 << 20):
		    got += b
		assert len(got) > 1000000, len(got)
	END
	PIDS+=($!)
	until_true grep -q held "$GOT/holds"
	until_true grep -q 'clients wait: all 64 descriptors are in use' "$BATS_TEST_TMPDIR/err"
	wait "${PIDS[0]}"
	PIDS=()
	get "$URL/x" | cmp - "$D/x"
	[ "$(grep -c 'clients wait' "$BATS_TEST_TMPDIR/err")" = 1 ]
}

# again OPTION… — a server at the addresses of the first one, at once
again() {
	memnet stream --runtime-dir "$BATS_TEST_TMPDIR/run" --listen "http://127.0.0.1:$HTTP" --metrics "127.0.0.1:$METRICS" \
		--rtsp "127.0.0.1:$RTSP" "$@" vm1/out 2>"$BATS_TEST_TMPDIR/err.$RANDOM" 3>&- &
	SERVER=$!
}

# serve_for_kills OPTION… — HTTP, metrics and RTSP
serve_for_kills() {
	read -r HTTP METRICS RTSP < <(free_ports 3) # which no client gets for its own side while the server is away
	serve --listen "http://127.0.0.1:$HTTP" --metrics "127.0.0.1:$METRICS" --rtsp "127.0.0.1:$RTSP" "$@" ||
		{ cat "$BATS_TEST_TMPDIR/err" && false; }
	URL=$(sed -n 's/.*listening on \(http.*\)/\1/p' "$BATS_TEST_TMPDIR/err")/vm1/out
}

# killed NAME STEP OPTION… — five times, when a client has one more STEP of it
killed() {
	for i in $(seq 5); do
		until_true has "$1" $((i * $2))
		kill -KILL "$SERVER" || { cat "$BATS_TEST_TMPDIR"/err*; false; }
		wait "$SERVER" || true
		again "${@:3}"
	done
}

has() {
	[ -e "$GOT/$1" ] && [ "$(stat -c %s "$GOT/$1")" -ge "$2" ]
}

# As a space is, where that may be had.
in_memory() {
	if mount -t tmpfs -o size=220m memnet-test "$D" 2>/dev/null; then MOUNTED=$D; fi
	mkdir -p "$D/.memnet/part" "$D/.memnet/live"
}

# fetch NAME — to $GOT/NAME, going on from what is there until it is all; in the background
fetch() {
	python3 - "$(port)" "$1" "$GOT/$1" >"$GOT/$1.said" 2>&1 3>&- <<-'END' &
		import http.client, os, sys, time
		port, name, file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
		late, tries = time.monotonic() + 60, 0
		with open(file, 'wb') as f:
		    while True:
		        assert time.monotonic() < late, 'no end'
		        tries += 1
		        try:
		            c = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
		            c.request('GET', '/vm1/out/' + name, headers={'Range': 'bytes=%d-' % f.tell()} if f.tell() else {})
		            r = c.getresponse()
		            if r.status == 416:  # all of it was there, and the end not yet
		                break
		            assert r.status == (206 if f.tell() else 200), r.status
		            while b := r.read1(100000):
		                f.write(b)
		                time.sleep(0.002)
		            if not r.length:
		                break
		        except (OSError, http.client.HTTPException):
		            time.sleep(0.02)
		print(tries)
	END
	PIDS+=($!)
}

# begin_growing, grow FILE — 20 MB in two seconds, a live object l
begin_growing() {
	echo >"$D/.memnet/live/l"
	: >"$D/l"
}

grow() {
	{
		for i in $(seq 0 39); do
			tail -c +$((i * 500000 + 1)) "$1" | head -c 500000 >>"$D/l"
			sleep 0.05
		done
		rm "$D/.memnet/live/l"
	} 3>&- &
	PIDS+=($!)
}

all_end() {
	for pid in "${PIDS[@]}"; do
		wait "$pid" || { cat "$GOT"/*.said && false; }
	done
	PIDS=()
}

@test "kill -9 under load and restart at once: clients go on by range, and have the right bytes" {
	in_memory
	for i in 1 2; do random 20000000 >"$D/x$i"; done
	random 20000000 >"$GOT/want"
	begin_growing
	serve_for_kills --client-rate 5MB # or they could have it all before the first kill
	for i in 1 2; do fetch "x$i"; done
	fetch l
	grow "$GOT/want"
	killed x1 3000000 --client-rate 5MB
	all_end
	for i in 1 2; do cmp "$GOT/x$i" "$D/x$i"; done
	cmp "$GOT/l" "$GOT/want"
	[ "$(cat "$GOT/x1.said")" -gt 1 ]
}

@test "kill -9 with release delivered: nothing is lost that was not delivered" {
	in_memory
	for i in $(seq 20); do random $((i * 400000)) >"$D/x$i"; done
	mkdir "$BATS_TEST_TMPDIR/want"
	cp "$D"/x* "$BATS_TEST_TMPDIR/want"
	random 20000000 >"$BATS_TEST_TMPDIR/want/l"
	begin_growing
	serve_for_kills --release delivered
	for i in $(seq 20); do fetch "x$i"; done
	fetch l
	grow "$BATS_TEST_TMPDIR/want/l"
	killed l 3000000 --release delivered
	all_end
	for name in "$BATS_TEST_TMPDIR"/want/*; do cmp "$name" "$GOT/${name##*/}"; done
}

@test "half a minute of make soak" {
	command -v python3 >/dev/null || skip "needs python3"
	SOAK_SECONDS=30 "$MEMNET_SRC/tests/bench/soak.sh" 2>&1 | sed 's/^/# /' >&3
	[ "${PIPESTATUS[0]}" = 0 ]
}
