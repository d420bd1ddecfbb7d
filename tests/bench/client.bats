#!/usr/bin/env bats
# shellcheck disable=SC2154 # stderr, by bats' run
# client_bench, against memnet stream and nginx: that rates and stalls are what they are.

bats_require_minimum_version 1.5.0

load ../until.bash

setup_file() {
	: "${MEMNET_SRC:=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}"
	: "${MEMNET:=$MEMNET_SRC/build/memnet}"
	export MEMNET_SRC MEMNET
	mkdir "$BATS_FILE_TMPDIR/www"
	head -c 1000000 /dev/urandom >"$BATS_FILE_TMPDIR/www/file"
	chmod 755 "$BATS_FILE_TMPDIR" "$BATS_FILE_TMPDIR/www"
}

setup() {
	clients=$MEMNET_SRC/build/tests/bench/client_bench
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	[ -z "${server:-}" ] || { kill "$server" && wait "$server"; } || true
}

serve() {
	"$MEMNET" stream --listen http://127.0.0.1:0 "$BATS_FILE_TMPDIR/www" 2>server.log 3>&- &
	server=$!
	until grep -qs listening server.log; do
		kill -0 "$server"
		sleep 0.02
	done
	url=$(sed -n 's/.*listening on //p' server.log)/www/file
}

# serve_nginx BYTES: each connection gets so many a second
serve_nginx() {
	local nginx port

	nginx=$(command -v nginx) || skip "no nginx"
	port=$(free_ports 1)
	cat >conf <<-CONF
		daemon off; master_process off; pid $PWD/pid; error_log $PWD/err;
		events {}
		http {
			access_log off; limit_rate $1;
			client_body_temp_path $PWD/a; proxy_temp_path $PWD/b; fastcgi_temp_path $PWD/c;
			uwsgi_temp_path $PWD/d; scgi_temp_path $PWD/e;
			server { listen unix:$PWD/ready; listen 127.0.0.1:$port; root $BATS_FILE_TMPDIR/www; }
		}
	CONF
	"$nginx" -c "$PWD/conf" 2>/dev/null 3>&- &
	server=$!
	until [ -S ready ]; do
		kill -0 "$server"
		sleep 0.02
	done
	url=http://127.0.0.1:$port/file
}

# sum NAME: of the sums that were printed
sum() {
	awk -F '\t' -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) n = i } NR == 2 { print $n }' sums
}

# measure ARG… — client_bench with these, the sums to sums. What it says of a time in which it had no CPU itself, which its
# last column tells, is about this machine: then it is done again.
measure() {
	for _ in 1 2 3 4 5; do
		"$clients" "$@" >sums || return
		cat sums
		if awk -v late="$(sum late_s)" 'BEGIN { exit !(late < 0.15) }'; then return; fi
	done
}

@test "each client gets its rate, no more, and does not stall" {
	serve
	measure -n 20 -r 400kbit -t 4 -u 500ms -o a. "$url"
	[ "$(sum clients)" = 20 ]
	[ "$(sum served)" = 20 ]
	[ "$(sum stalls)" = 0 ]
	[ "$(sum failures)" = 0 ]
	# A client begins with a second of the file in store.
	awk -F '\t' 'NR > 2 { n++; if ($3 < 0.95 * 50000 * (4 - $2) || $3 > 50000 * (5.2 - $2)) { print; bad = 1 } }
		END { exit bad || n != 20 }' a.clients.tsv
	# The rows of the series are all that came.
	[ "$(awk -F '\t' 'NR > 2 { n += $4 } END { print n }' a.series.tsv)" = "$(sum bytes)" ]
	[ "$(awk -F '\t' 'END { print $2, $3 }' a.series.tsv)" = "20 20" ]
}

@test "a file is fetched again and again, over the same connection" {
	serve
	head -c 3000 /dev/urandom >"$BATS_FILE_TMPDIR/www/small"
	measure -n 2 -r 400kbit -t 3 -u 0s "${url%file}small"
	[ "$(sum served)" = 2 ]
	[ "$(sum failures)" = 0 ]
}

@test "of a server that gives half, clients get half, and stall for half of the time" {
	serve_nginx 25000
	measure -n 5 -r 400kbit -t 8 -u 0s -o b. "$url"
	cat b.stalls.tsv
	[ "$(sum served)" = 0 ]
	[ "$(sum stalled)" = 5 ]
	awk -F '\t' 'NR > 2 { n++; if ($4 < 0.12 || $4 > 0.28) { print; bad = 1 } } END { exit bad || n != 5 }' b.clients.tsv
	# Half of 40 s in all, but for what nginx gives at once when it begins.
	awk -F '\t' 'NR > 2 { s += $6 } END { print s; exit !(s > 10 && s < 28) }' b.clients.tsv
	[ "$(awk -F '\t' 'NR > 2 { s += $3 } END { printf "%.1f", s }' b.stalls.tsv)" = \
		"$(awk -F '\t' 'NR > 2 { s += $6 } END { printf "%.1f", s }' b.clients.tsv)" ]
}

@test "a client that never gets to play has stalled all the time" {
	serve_nginx 1000
	measure -n 2 -r 400kbit -t 4 -u 0s -o d. "$url"
	[ "$(sum stalled)" = 2 ]
	[ "$(sum stalls)" = 2 ]
	awk -F '\t' 'NR > 2 { n++; if ($2 > 0.3 || $3 < 3.5) bad = 1 } END { exit bad || n != 2 }' d.stalls.tsv
}

@test "ended by SIGTERM, it says what there was so far" {
	serve
	"$clients" -n 3 -r 400kbit -t 60 -u 0s -i 50ms -o c. "$url" >sums 3>&- &
	pid=$!
	until awk 'NR > 2 && $3 == 3 { found = 1 } END { exit !found }' c.series.tsv 2>/dev/null; do
		kill -0 $pid
		sleep 0.05
	done
	kill -TERM $pid
	wait $pid
	[ "$(sum clients)" = 3 ]
	awk -v s="$(sum seconds)" 'BEGIN { exit !(s > 0.1 && s < 60) }'
	[ "$(wc -l <c.clients.tsv)" = 5 ]
}

@test "where nothing comes it fails, and says why" {
	serve
	run -1 --separate-stderr "$clients" -n 2 -t 3 "${url}not"
	[[ $stderr == *"status was 404"* ]]
	run -1 --separate-stderr "$clients" -n 2 -t 3 http://127.0.0.1:1/file
	[[ $stderr == *refused* ]]
}

@test "what it does not understand is refused" {
	for words in "-n 0 http://127.0.0.1:1/f" "-r 2Mb http://127.0.0.1:1/f" "-t x http://127.0.0.1:1/f" \
		"-i 1ms http://127.0.0.1:1/f" "http://name:1/f" "ftp://127.0.0.1:1/f" "http://127.0.0.1:1" "" "-x"; do
		# shellcheck disable=SC2086 # words
		run -2 --separate-stderr "$clients" $words
		[[ $stderr == client_bench:* ]]
	done
}
