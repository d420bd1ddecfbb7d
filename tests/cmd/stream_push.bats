#!/usr/bin/env bats
# shellcheck disable=SC2153 # PORT is push.bash's
# memnet stream --push, into real peers: nginx with WebDAV, socat, and receivers that misbehave. A
# space is a folder here.

load push.bash

# nginx, which takes uploads into $G; $URL
webdav() {
	local port
	port=$(free_ports 1)
	mkdir -p "$BATS_TEST_TMPDIR/nginx"
	cat >"$BATS_TEST_TMPDIR/nginx.conf" <<-END
		daemon off; master_process off; pid $BATS_TEST_TMPDIR/nginx.pid;
		user root root;
		error_log $BATS_TEST_TMPDIR/nginx.err;
		events {}
		http {
			access_log $BATS_TEST_TMPDIR/nginx.log;
			client_body_temp_path $BATS_TEST_TMPDIR/nginx/body; client_max_body_size 50m;
			proxy_temp_path $BATS_TEST_TMPDIR/nginx/1; fastcgi_temp_path $BATS_TEST_TMPDIR/nginx/2;
			uwsgi_temp_path $BATS_TEST_TMPDIR/nginx/3; scgi_temp_path $BATS_TEST_TMPDIR/nginx/4;
			server {
				listen 127.0.0.1:$port;
				location /no/ { return 403; }
				location / { root $G; dav_methods PUT; create_full_put_path on; }
			}
		}
	END
	nginx -c "$BATS_TEST_TMPDIR/nginx.conf" 2>/dev/null 3>&- &
	PIDS+=($!)
	URL=http://127.0.0.1:$port
	until_true curl -so /dev/null "$URL"
}

# logged REGEX WANT — nginx's log has these, one behind the other. It writes a line when the client has its answer.
logged() {
	[ "$(grep -o "$1" "$BATS_TEST_TMPDIR/nginx.log" | paste -sd' ')" = "$2" ]
}

@test "http: all that is there, once, on one connection, in the order of publication" {
	webdav
	random 3000000 | publish b
	random 10 | publish "a b%ü?"
	: | publish empty
	random 70000 | publish deep/er/c
	push "$URL/in" --once vm1/out
	cmp "$D/b" "$G/in/b"
	cmp "$D/a b%ü?" "$G/in/a b%ü?"
	cmp "$D/deep/er/c" "$G/in/deep/er/c"
	[ -e "$G/in/empty" ]
	until_true logged 'PUT [^ ]*' "PUT /in/b PUT /in/a%20b%25%C3%BC%3F PUT /in/empty PUT /in/deep/er/c"
}

@test "http: what is published later, in that order, and released" {
	webdav
	pushing "$URL" --release delivered vm1/out
	for i in 9 8 7 6 5 4 3 2 1; do
		echo "$i" | publish "s$i"
	done
	until_true gone "$D/s1"
	until_true logged '/s[0-9]' '/s9 /s8 /s7 /s6 /s5 /s4 /s3 /s2 /s1'
	echo deep | publish new/folder/x
	until_true gone "$D/new/folder/x"
	[ "$(cat "$G/new/folder/x")" = deep ]
	kill "$PUSHER"
	wait "$PUSHER"
}

@test "an object that is replaced is sent again, one that is not is not" {
	webdav
	pushing "$URL" vm1/out
	echo one | publish x
	until_true grep -q one "$G/x"
	echo two | publish x
	until_true grep -q two "$G/x"
	sleep 2.5
	[ "$(grep -c PUT "$BATS_TEST_TMPDIR/nginx.log")" = 2 ]
}

@test "a file that someone writes in place is left until it is closed" {
	webdav
	pushing "$URL" vm1/out
	(
		echo one
		sleep 0.7
		echo two
	) >"$D/x"
	until_true test -e "$G/x"
	[ "$(cat "$G/x")" = $'one\ntwo' ]
	until_true logged PUT PUT
}

@test "a glob, and what is never sent" {
	webdav
	for x in a.ts b.m3u8 sub/c.ts; do
		echo $x | publish $x
	done
	ln -s /etc/passwd "$D/l.ts"
	mkfifo "$D/f.ts"
	push "$URL" --once 'vm1/out/*.ts'
	[ "$(cd "$G" && find . -type f | sort | paste -sd' ')" = ./a.ts ]
}

@test "a live object is sent while it grows" {
	receiver http
	echo -n 1 >"$D/.memnet/live/l.ts"
	echo -n first >"$D/l.ts"
	pushing "http://127.0.0.1:$PORT" --release delivered vm1/out
	until_true grep -q first "$BATS_TEST_TMPDIR/part"
	sleep 0.3
	echo -n second >>"$D/l.ts"
	until_true grep -q firstsecond "$BATS_TEST_TMPDIR/part"
	rm "$D/.memnet/live/l.ts"
	until_true gone "$D/l.ts"
	[ "$(cat "$BATS_TEST_TMPDIR/object.1")" = firstsecond ]
	[ "$(cat "$BATS_TEST_TMPDIR/log")" = "PUT /l.ts whole" ]
}

@test "a live object whose writer gives up never ends cleanly" {
	for kind in http tcp; do
		receiver $kind
		echo -n 1 >"$D/.memnet/live/l.ts"
		echo -n first >"$D/l.ts"
		pushing "$kind://127.0.0.1:$PORT" vm1/out
		until_true grep -q first "$BATS_TEST_TMPDIR/part"
		rm "$D/l.ts" "$D/.memnet/live/l.ts"
		until_true grep -q torn "$BATS_TEST_TMPDIR/log"
		kill "$PUSHER"
		wait "$PUSHER"
		rm "$BATS_TEST_TMPDIR"/{log,part}
	done
}

@test "tcp: socat has every byte; killed in between, nobody takes the part for the whole" {
	random 20000000 | publish x
	socat -d -d -u TCP-LISTEN:0,bind=127.0.0.1,reuseaddr - >"$G/x" 2>"$BATS_TEST_TMPDIR/socat" 3>&- &
	PIDS+=($!)
	until_true grep -q 'listening on' "$BATS_TEST_TMPDIR/socat"
	push "tcp://$(grep -o '127.0.0.1:[0-9]*' "$BATS_TEST_TMPDIR/socat" | head -1)" --once --release delivered vm1/out
	wait "${PIDS[0]}"
	[ "$(wc -c <"$G/x")" = 20000000 ]
	gone "$D/x"

	random 20000000 | publish y
	receiver slow
	pushing "tcp://localhost:$PORT" --release delivered vm1/out
	until_true test -s "$BATS_TEST_TMPDIR/part"
	kill -9 "$PUSHER"
	until_true grep -q torn "$BATS_TEST_TMPDIR/log"
	[ -e "$D/y" ]
}

@test "unix: every byte, and a live object when it has ended" {
	receiver unix
	echo -n 1 >"$D/.memnet/live/l"
	echo -n first >"$D/l"
	pushing "unix://$SOCK" --release delivered vm1/out
	sleep 0.3
	gone "$BATS_TEST_TMPDIR/log"
	echo -n second >>"$D/l"
	rm "$D/.memnet/live/l"
	until_true gone "$D/l"
	[ "$(cat "$BATS_TEST_TMPDIR/object.1")" = firstsecond ]
	random 3000000 >"$BATS_TEST_TMPDIR/x"
	publish x <"$BATS_TEST_TMPDIR/x"
	until_true gone "$D/x"
	cmp "$BATS_TEST_TMPDIR/x" "$BATS_TEST_TMPDIR/object.2"
}

@test "a peer that comes late, breaks off, refuses: tried again, and released only then" {
	random 500000 >"$BATS_TEST_TMPDIR/x"
	publish x <"$BATS_TEST_TMPDIR/x"
	receiver flaky
	pushing "http://127.0.0.1:$PORT" --release delivered vm1/out
	until_true gone "$D/x"
	# 503; broken off in the body; broken off before the reply; taken
	[ "$(cut -d' ' -f3 "$BATS_TEST_TMPDIR/log" | paste -sd' ')" = "503 cut silent whole" ]
	cmp "$BATS_TEST_TMPDIR/x" "$BATS_TEST_TMPDIR/object.4"
	kill "$PUSHER"

	receiver closed
	echo late | publish y
	pushing "tcp://127.0.0.1:$PORT" --release delivered vm1/out
	until_true grep -q 'failure 2' "$BATS_TEST_TMPDIR/err"
	socat -u "TCP-LISTEN:$PORT,bind=127.0.0.1,reuseaddr" - >"$G/y" 3>&- &
	until_true gone "$D/y"
	[ "$(cat "$G/y")" = late ]
}

@test "a guest that truncates an object in flight tears nothing" {
	random 20000000 | publish x
	receiver slow
	pushing "tcp://127.0.0.1:$PORT" --release delivered vm1/out
	until_true test -s "$BATS_TEST_TMPDIR/part"
	: >"$D/x"
	until_true grep -q torn "$BATS_TEST_TMPDIR/log"
}

@test "--once: the exit status says what was delivered" {
	webdav
	echo x | publish x
	run push "$URL/no" --once vm1/out
	[ "$status" = 1 ]
	[[ $output == *"refused with status 403"* ]]
	mkdir "$G/y"
	echo y | publish y
	run push "$URL" --once vm1/out
	[ "$status" = 3 ]
	[[ $output == *"1 objects not delivered, 1 delivered"* ]]
	run push "$URL" --once vm1/none
	[ "$status" = 4 ]
	receiver closed
	run push "tcp://127.0.0.1:$PORT" --once vm1/out
	[ "$status" = 1 ]
	[[ $output == *"refused"*"2 objects not delivered, 0 delivered"* ]]
	rm "$D"/?
	push "$URL" --once vm1/out
}

@test "a space that comes later, and can be unmounted while nothing is due" {
	webdav
	rm -r "$BATS_TEST_TMPDIR/run/vm1"
	pushing "$URL" --release delivered vm1/out
	mkdir -p "$D/.memnet/part"
	echo x | publish x
	until_true gone "$D/x"
	not_open() { [ -z "$(find "/proc/$PUSHER/fd" -lname "$D*")" ]; }
	until_true not_open
}

@test "few rights are left: one port, no files but the space's" {
	receiver http
	pushing "http://127.0.0.1:$PORT" vm1/out
	grep -q '^NoNewPrivs:.1' "/proc/$PUSHER/status"
	grep -q '^Seccomp:.2' "/proc/$PUSHER/status"
	[ "$(id -u)" != 0 ] || grep -q '^CapEff:.000000000000000e' "/proc/$PUSHER/status"
}

@test "a rate" {
	random 2000000 | publish x
	for kind in tcp unix; do
		receiver $kind
		url=tcp://127.0.0.1:$PORT
		[ $kind = tcp ] || url=unix://$SOCK
		SECONDS=0
		push "$url" --rate 1MB --once vm1/out
		[ "$SECONDS" -ge 1 ]
	done
}

@test "SIGHUP is a reload, and ends nothing" {
	pushing http://127.0.0.1:1 vm1/out
	kill -HUP "$PUSHER"
	until_true eval "! grep -q 'ShdPnd:.*[1-9a-f]' /proc/$PUSHER/status" # it is taken
	kill "$PUSHER"
	wait "$PUSHER" # as SIGTERM ends it, not SIGHUP
	PIDS=()
}

@test "congestion control: cubic, where it can be had, whatever the system's is" {
	grep -q cubic /proc/sys/net/ipv4/tcp_allowed_congestion_control || skip "no cubic but for root"
	receiver tcp
	pushing "tcp://127.0.0.1:$PORT" --rate 200kB vm1/out
	random 3000000 | publish x
	until_true eval "ss -tin state established 'dport = :$PORT' | grep -q cubic"
}

@test "congestion control: the one that is asked for" {
	grep -q reno /proc/sys/net/ipv4/tcp_allowed_congestion_control || skip "no reno but for root"
	receiver tcp
	pushing "tcp://127.0.0.1:$PORT" --rate 200kB --congestion reno vm1/out
	random 3000000 | publish x
	until_true eval "ss -tin state established 'dport = :$PORT' | grep -q reno"
}

@test "options are checked" {
	for url in ftp://x:1 tcp://x tcp://x:0 tcp://x:70000 tcp://x:1/y unix://x http:// http://a:b/ 'http://a/ b'; do
		run push "$url" vm1/out
		[ "$status" = 2 ]
		[[ $output == *"bad URL"* ]]
	done
	run push http://127.0.0.1:1 --listing vm1/out
	[[ $status = 2 && $output == *"--listing is for serving"* ]]
	run push http://127.0.0.1:1 --release lru vm1/out
	[[ $status = 2 && $output == *"would be lost"* ]]
	run push unix:///x --congestion cubic vm1/out
	[[ $status = 2 && $output == *"--congestion is TCP's"* ]]
	run push http://127.0.0.1:1 vm1/out vm1/two
	[ "$status" = 2 ]
	run timeout 20 memnet stream --push tcp://127.0.0.1:1 --congestion nonesuch "$D"
	[[ $status = 1 && $output == *"tcp_available_congestion_control"* ]]
	run memnet stream --once vm1/out
	[ "$status" = 2 ]
}
