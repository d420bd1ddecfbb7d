#!/bin/bash
# memnet stream against nginx and lighttpd (where they are installed), on the same files, in turns:
# CPU time of the server's process by request or by GB, medians of ROUNDS (5), and how memnet's
# compares. As root: the paced cases go over a veth pair into a network namespace of their own.
#
#   tests/run -- tests/bench/stream.sh [CASE…]     4k 64k large paced
set -eu
cd "$(dirname "$0")/../.."
ROUNDS=${ROUNDS:-5}
CLIENTS=${CLIENTS:-2000}
MEMNET=${MEMNET:-build/memnet}
LIGHTTPD=${LIGHTTPD:-$(command -v lighttpd || true)}
NGINX=${NGINX:-$(command -v nginx || true)}
bench=$PWD/build/tests/bench/http_bench
[ "$(id -u)" = 0 ] || { echo "stream.sh: not root: skipped" && exit; }

work=$(mktemp -d)
ns=memnet-bench-$$
pids=

# shellcheck disable=SC2317 # called by the trap
cleanup() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	wait
	ip netns del "$ns" 2>/dev/null || true
	umount "$work/www" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

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
	"$@" >"$work/$name.log" 2>&1 &
	started=$!
	pids="$pids $started"
}

# serve NAME ADDRESS PORT RATE CONGESTION — RATE in bytes per second, 0: none.
serve() {
	case $1 in
	memnet)
		local rate=()
		[ "$4" = 0 ] || rate=(--client-rate "${4}B")
		start memnet "$MEMNET" stream --listen "http://$2:$3" --congestion "$5" \
			"${rate[@]}" "$work/www"
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
		(exec 3<>"/dev/tcp/$2/$3") 2>/dev/null && return
		sleep 0.05
	done
	cat "$work/$1.log" && exit 1
}

cpu_us() {
	awk '{ printf "%d", $1 / 1000 }' "/proc/$1/schedstat"
}

median() {
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

servers=memnet
[ -z "$NGINX" ] || servers="$servers nginx nginx-cache"
[ -z "$LIGHTTPD" ] || servers="$servers lighttpd"

# report CASE UNIT — from $work/CASE.SERVER, one figure a line.
report() {
	local mine
	mine=$(median <"$work/$1.memnet")
	for s in $servers; do
		[ -s "$work/$1.$s" ] || continue
		awk -v c="$1" -v u="$2" -v s="$s" -v v="$(median <"$work/$1.$s")" -v m="$mine" \
			'BEGIN { printf "%-14s %-12s %9.3f %-8s memnet/this %.2f\n", c, s, v, u, m / v }'
	done
}

declare -A pid port
start_all() { # ADDRESS RATE CONGESTION
	local n=18400
	for s in $servers; do
		n=$((n + 1))
		port[$s]=$n
		serve "$s" "$1" "$n" "$2" "$3"
		pid[$s]=$started
	done
}

stop_all() {
	for p in $pids; do kill "$p" 2>/dev/null || true; done
	wait
	pids=
}

# closed CASE PATH CONNECTIONS REQUESTS UNIT — CPU per request (us) or per GB (s).
closed() {
	local before after
	for _ in $(seq "$ROUNDS"); do
		for s in $servers; do
			before=$(cpu_us "${pid[$s]}")
			"$bench" 127.0.0.1 "${port[$s]}" "$2" "$3" "$4" >"$work/out"
			after=$(cpu_us "${pid[$s]}")
			awk -v us=$((after - before)) -v u="$5" \
				'{ print u == "s/GB" ? us / 1e6 / ($2 / 1e9) : us / $1 }' "$work/out" \
				>>"$work/$1.$s"
		done
	done
	report "$1" "$5"
}

# paced CONGESTION — CLIENTS clients at 2 Mbit/s each for ten seconds, in the namespace.
paced() {
	local before after
	for s in $servers; do
		[ "$s" != nginx-cache ] || continue
		: >"$work/paced-$1.$s"
		for _ in $(seq "$((ROUNDS < 3 ? ROUNDS : 3))"); do
			serve "$s" 10.99.0.1 18500 250000 "$1"
			before=$(cpu_us "$started")
			rss=$(awk '/VmRSS/ { print $2 }' "/proc/$started/status")
			ip netns exec "$ns" "$bench" 10.99.0.1 18500 /www/16m "$CLIENTS" 0 10 >"$work/out" &
			client=$!
			sleep 6
			rss=$(($(awk '/VmRSS/ { print $2 }' "/proc/$started/status") - rss))
			wait "$client"
			after=$(cpu_us "$started")
			awk -v n="$CLIENTS" -v rss="$rss" -v what="$1 $s" '{ printf \
				"# paced %s: longest gap %.0f ms, least rate %.2f Mbit/s, %.2f KB each\n", \
				what, $4, $5 * 8 / $3 / 1e6, rss / n }' "$work/out"
			awk -v us=$((after - before)) '{ print us / 1e6 / ($6 / 1e9) }' "$work/out" \
				>>"$work/paced-$1.$s"
			stop_all
		done
	done
	report "paced-$1" s/GB
}

make_network() {
	ip netns add "$ns"
	ip link add veth0-$$ type veth peer name veth1 netns "$ns"
	ip addr add 10.99.0.1/24 dev veth0-$$
	ip link set veth0-$$ up
	ip -n "$ns" addr add 10.99.0.2/24 dev veth1
	ip -n "$ns" link set veth1 up
	ip -n "$ns" link set lo up
}

[ $# -gt 0 ] || set -- 4k 64k large paced
for case; do
	case $case in
	4k)
		start_all 127.0.0.1 0 cubic
		closed 4k /www/4k 16 100000 us
		stop_all
		;;
	64k)
		start_all 127.0.0.1 0 cubic
		closed 64k /www/64k 16 30000 us
		stop_all
		;;
	large)
		start_all 127.0.0.1 0 "$(sysctl -n net.ipv4.tcp_congestion_control)"
		closed large /www/16m 64 192 s/GB
		stop_all
		;;
	paced)
		ip netns list | grep -q "^$ns" || make_network
		default=$(sysctl -n net.ipv4.tcp_congestion_control)
		paced "$default"
		;;
	esac
done
