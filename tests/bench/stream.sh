#!/bin/bash
# memnet stream against nginx and lighttpd (where they are installed), on the same files, with the
# same congestion control, in turns: CPU time of the server by request or by GB, medians of ROUNDS
# (5; paced: 3), how memnet's compares, and whether that is the goal. As root: all of it runs in two
# network namespaces of its own, joined by a veth pair.
#
#   tests/run -- tests/bench/stream.sh [CASE…]
#
# The server runs on one core and its client on another. What the server's own time does not show is
# told beside it: "core" is that and the time of the core's ksoftirqd; "machine" is all cores' busy
# time but the client's own, others' work included.
set -eu
cd "$(dirname "$0")/../.."
ROUNDS=${ROUNDS:-5}
CLIENTS=${CLIENTS:-2000}
MEMNET=${MEMNET:-build/memnet}
LIGHTTPD=${LIGHTTPD:-$(command -v lighttpd || true)}
NGINX=${NGINX:-$(command -v nginx || true)}
bench=$PWD/build/tests/bench/http_bench
clients=$PWD/build/tests/bench/client_bench
[ "$(id -u)" = 0 ] || { echo "stream.sh: not root: skipped" && exit; }
[ -x "$bench" ] || { echo "stream.sh: no $bench (make bench builds it)" >&2 && exit 1; }

work=$(mktemp -d)
srv=memnet-bench-$$-s
cli=memnet-bench-$$-c
pids=

# shellcheck disable=SC2317 # called by the trap
cleanup() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	wait
	ip netns del "$srv" 2>/dev/null || true
	ip netns del "$cli" 2>/dev/null || true
	umount "$work/www" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

make_network() {
	ip netns add "$srv"
	ip netns add "$cli"
	ip -n "$srv" link add veth0 type veth peer name veth1 netns "$cli"
	ip -n "$srv" addr add 10.99.0.1/24 dev veth0
	ip -n "$cli" addr add 10.99.0.2/24 dev veth1
	ip -n "$srv" link set veth0 up
	ip -n "$cli" link set veth1 up
	ip -n "$srv" link set lo up
}
make_network

# congestion [NAME] — of all servers and clients from now on, by the route, which nothing that they
# set themselves overrides; without a name each has its own default.
congestion() {
	local by=${1:+congctl $1}
	# shellcheck disable=SC2086 # no word, or two
	for route in "local 127.0.0.0/8 dev lo table local" "local 127.0.0.1 dev lo table local" \
		"10.99.0.0/24 dev veth0"; do
		ip -n "$srv" route replace $route $by
	done
	# shellcheck disable=SC2086
	ip -n "$cli" route replace 10.99.0.0/24 dev veth1 $by
}

mkdir "$work/www"
mount -t tmpfs -o size=64m memnet-bench "$work/www"
chmod 755 "$work" "$work/www"
head -c 4096 /dev/urandom >"$work/www/4k"
head -c 65536 /dev/urandom >"$work/www/64k"
head -c 16777216 /dev/urandom >"$work/www/16m"

# start NAME COMMAND… — in the background; its pid in $started.
start() {
	local name=$1
	shift
	ip netns exec "$srv" taskset -c 0 "$@" >"$work/$name.log" 2>&1 &
	started=$!
	pids="$pids $started"
}

# serve NAME ADDRESS PORT RATE — RATE in bytes per second, 0: none.
serve() {
	case $1 in
	memnet)
		local rate=()
		[ "$4" = 0 ] || rate=(--client-rate "${4}B")
		start memnet "$MEMNET" stream --listen "http://$2:$3" "${rate[@]}" "$work/www"
		;;
	nginx | nginx-cache)
		mkdir -p "$work/nginx"
		cat >"$work/$1.conf" <<-END
			daemon off; master_process off; pid $work/$1.pid; error_log $work/$1.err;
			events { worker_connections 20000; use epoll; }
			http {
				sendfile on; tcp_nopush on; access_log off; default_type a/b;
				keepalive_requests 100000000; limit_rate $4;
				$([ "$1" = nginx ] || echo 'open_file_cache max=1000;')
				client_body_temp_path $work/nginx/a; proxy_temp_path $work/nginx/b;
				fastcgi_temp_path $work/nginx/c; uwsgi_temp_path $work/nginx/d;
				scgi_temp_path $work/nginx/e;
				server { listen $2:$3 backlog=4096; root $work; }
			}
		END
		start "$1" sh -c "ulimit -n 30000; exec $NGINX -c $work/$1.conf"
		;;
	lighttpd)
		cat >"$work/lighttpd.conf" <<-END
			server.document-root = "$work"
			server.bind = "$2"
			server.port = $3
			server.max-fds = 30000
			server.max-connections = 15000
			server.listen-backlog = 4096
			server.max-keep-alive-requests = 65535
			server.modules = ()
			server.network-backend = "sendfile"
			$([ "$4" = 0 ] || echo "connection.kbytes-per-second = $(($4 / 1024))")
		END
		start lighttpd "$LIGHTTPD" -D -f "$work/lighttpd.conf" \
			-m "$(dirname "$(dirname "$LIGHTTPD")")/lib/lighttpd"
		;;
	esac
	for _ in $(seq 100); do
		ip netns exec "$srv" bash -c "exec 3<>/dev/tcp/$2/$3" 2>/dev/null && return
		sleep 0.05
	done
	cat "$work/$1.log" && exit 1
}

cpu_us() {
	awk '{ us += $1 / 1000 } END { printf "%.0f", us }' "${@/%//schedstat}"
}

ksoftirqd=$(pgrep -x ksoftirqd/0)

# spent PID — the server's time, its core's, and the machine's, in us so far.
spent() {
	echo "$(cpu_us "/proc/$1") $(cpu_us "/proc/$1" "/proc/$ksoftirqd")" \
		"$(awk '/^cpu / { printf "%.0f", ($2 + $3 + $4 + $7 + $8) * 10000 }' /proc/stat)"
}

median() {
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# kept FILE COLUMN — the median of it.
kept() {
	cut -f "$2" "$work/$1" | median
}

servers=memnet
[ -z "$NGINX" ] || servers="$servers nginx nginx-cache"
[ -z "$LIGHTTPD" ] || servers="$servers lighttpd"

line() { # CASE SERVER VALUE UNIT RATIO GOAL
	awk -v c="$1" -v s="$2" -v v="$3" -v u="$4" -v r="$5" -v g="$6" 'BEGIN {
		printf "%-26s %-12s %9.3f %-5s", c, s, v, u
		if (r != "") printf " ratio %.2f", r
		if (g != "") printf "  goal %-5s %s", g, (r != "" ? r : v) + 0 <= g + 0 ? "ok" : "missed"
		printf "\n" }'
}

# report CASE COLUMN UNIT [NGINX-GOAL [LIGHTTPD-GOAL]] — from $work/CASE.SERVER, a line a round.
report() {
	local mine theirs goal
	mine=$(kept "$1.memnet" "$2")
	line "$1" memnet "$mine" "$3" "" ""
	for s in ${servers#memnet}; do
		[ -s "$work/$1.$s" ] || continue
		theirs=$(kept "$1.$s" "$2")
		case $s in
		nginx) goal=${4-} ;;
		lighttpd) goal=${5-} ;;
		*) goal= ;;
		esac
		line "$1" "$s" "$theirs" "$3" "$(awk "BEGIN { print $mine / $theirs }")" "$goal"
	done
}

declare -A pid port
start_all() { # ADDRESS
	local n=18400
	for s in $servers; do
		n=$((n + 1))
		port[$s]=$n
		serve "$s" "$1" "$n" 0
		pid[$s]=$started
	done
}

stop_all() {
	for p in $pids; do kill "$p" 2>/dev/null || true; done
	wait
	pids=
}

# keep FILE UNITS BEFORE AFTER CLIENT — a line: server's time, core's, machine's, by unit.
keep() {
	echo "$3 $4 $5" | awk -v n="$2" -v OFS='\t' \
		'{ print ($4 - $1) / n, ($5 - $2) / n, ($6 - $3 - $7) / n }' >>"$work/$1"
}

# closed CASE PATH CONNECTIONS REQUESTS UNIT NAMESPACE ADDRESS — CPU by request (us) or by GB (s).
closed() {
	local before after units
	start_all "$7"
	for _ in $(seq "$ROUNDS"); do
		for s in $servers; do
			before=$(spent "${pid[$s]}")
			ip netns exec "$6" taskset -c 1 bash -c '"$@"; times' - \
				"$bench" "$7" "${port[$s]}" "$2" "$3" "$4" >"$work/out"
			after=$(spent "${pid[$s]}")
			units=$(awk -v u="$5" 'NR == 1 { print u == "s/GB" ? $2 / 1e3 : $1 }' "$work/out")
			keep "$1.$s" "$units" "$before" "$after" "$(client_us)"
		done
	done
	stop_all
}

# The client's own time, by bash's `times` behind its output.
client_us() {
	awk 'END { n = split($1 " " $2, t, /[ms ]+/); print int((t[1] * 60 + t[2] + t[3] * 60 + t[4]) * 1e6) }' \
		"$work/out"
}

# paced CASE CONGESTION CLIENTS [GOAL [RATE]] — at RATE bytes per second (2 Mbit/s) each, for ten
# seconds. CONGESTION may be empty: each server's own.
paced() {
	local before after bps=${5:-250000}
	# shellcheck disable=SC2086
	congestion $2
	for _ in $(seq "$((ROUNDS < 3 ? ROUNDS : 3))"); do
		for s in $servers; do
			[ "$s" != nginx-cache ] || continue
			# What the kernel has learnt of the path from the server before.
			ip -n "$srv" tcp_metrics flush all >/dev/null
			ip -n "$cli" tcp_metrics flush all >/dev/null
			serve "$s" 10.99.0.1 18500 "$bps"
			before=$(spent "$started")
			rss=$(awk '/RssAnon/ { print $2 }' "/proc/$started/status")
			ip netns exec "$cli" taskset -c 1 bash -c '"$@"; times' - \
				"$bench" 10.99.0.1 18500 /www/16m "$3" 0 10 >"$work/out" &
			client=$!
			sleep 6
			rss=$(($(awk '/RssAnon/ { print $2 }' "/proc/$started/status") - rss))
			wait "$client"
			after=$(spent "$started")
			keep "$1.$s" "$(awk 'NR == 1 { print $6 / 1e3 }' "$work/out")" "$before" "$after" \
				"$(client_us)"
			awk -v n="$3" -v rss="$rss" -v rate="$bps" -v OFS='\t' 'NR == 1 {
				print $4 / 1e3, rss / n, $5 / $3 / rate, $6 / $3 / n / rate }' "$work/out" >>"$work/$1-seen.$s"
			stop_all
		done
	done
	report "$1" 1 s/GB "${4-}"
	for s in $servers; do
		[ -s "$work/$1-seen.$s" ] || continue
		line "$1 longest gap" "$s" "$(kept "$1-seen.$s" 1)" s "" "$(mine "$s" 0.3)"
		line "$1 memory each" "$s" "$(kept "$1-seen.$s" 2)" KB "" "$(mine "$s" 1)"
		line "$1 least rate" "$s" "$(kept "$1-seen.$s" 3)" "of it" "" ""
		line "$1 all together" "$s" "$(kept "$1-seen.$s" 4)" "of it" "" ""
		line "$1 core" "$s" "$(kept "$1.$s" 2)" s/GB "" ""
		line "$1 machine" "$s" "$(kept "$1.$s" 3)" s/GB "" ""
	done
}

# reading CASE CLIENTS [GOAL] — clients that read at 2 Mbit/s what a server gives without a rate, as
# players do.
reading() {
	local before after
	congestion cubic
	start_all 10.99.0.1
	for _ in $(seq "$ROUNDS"); do
		for s in $servers; do
			before=$(spent "${pid[$s]}")
			ip netns exec "$cli" taskset -c 1 bash -c '"$@"; times' - "$clients" -n "$2" -u 1 -t 8 \
				"http://10.99.0.1:${port[$s]}/www/16m" >"$work/out"
			after=$(spent "${pid[$s]}")
			keep "$1.$s" "$(awk 'NR == 2 { print $3 / 1e3 }' "$work/out")" "$before" "$after" \
				"$(client_us)"
		done
	done
	stop_all
	report "$1" 1 s/GB "${3-}"
}

# mine SERVER GOAL — the goal, if the server is memnet.
mine() {
	[ "$1" != memnet ] || echo "$2"
}

# bulk CASE NAMESPACE ADDRESS COLUMN [GOAL] — 64 clients, 16 MiB each time.
bulk() {
	closed "$1" /www/16m 64 384 s/GB "$2" "$3"
	report "$1" "$4" s/GB "${5-}"
	for s in $servers; do line "$1 machine" "$s" "$(kept "$1.$s" 3)" s/GB "" ""; done
}

default=$(sysctl -n net.ipv4.tcp_congestion_control)
[ $# -gt 0 ] || set -- 4k 64k large large-cubic veth veth-cubic veth-own paced cubic own reading many fast
for case; do
	congestion "$default"
	case $case in
	4k)
		closed 4k /www/4k 16 100000 us "$srv" 127.0.0.1
		report 4k 1 us 0.50 0.85
		;;
	64k)
		closed 64k /www/64k 16 30000 us "$srv" 127.0.0.1
		report 64k 1 us 0.85
		;;
	large) bulk large "$srv" 127.0.0.1 1 0.70 ;;
	large-cubic) congestion cubic && bulk large-cubic "$srv" 127.0.0.1 1 ;;
	veth) bulk veth "$cli" 10.99.0.1 2 0.35 ;;
	veth-cubic) congestion cubic && bulk veth-cubic "$cli" 10.99.0.1 2 ;;
	veth-own) congestion && bulk veth-own "$cli" 10.99.0.1 2 ;;
	paced) paced paced-bbr bbr "$CLIENTS" 0.50 ;;
	cubic) paced paced-cubic cubic "$CLIENTS" 0.90 ;;
	own) paced paced-own "" "$CLIENTS" 0.50 ;;
	reading) reading reading "$CLIENTS" 0.90 ;;
	many) paced paced-8000 cubic 8000 0.90 ;;
	fast) paced paced-20-mbit cubic "$((CLIENTS / 10))" "" 2500000 ;;
	*) echo "stream.sh: no case $case" >&2 && exit 2 ;;
	esac
done
