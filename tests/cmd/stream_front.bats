#!/usr/bin/env bats
# memnet stream behind the front servers that share/ has configurations for, through TLS, as they are installed:
# only addresses and files are the test's.

load stream.bash

setup() {
	stream_begin
	command -v openssl >/dev/null || skip "needs openssl"
	F=$BATS_TEST_TMPDIR/front
	mkdir "$F"
	random 3000000 >"$D/x.ts"
}

teardown() {
	if [ "${FRONT-}" ] && kill "$FRONT"; then wait "$FRONT" || true; fi
	stream_end
}

certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=IP:127.0.0.1 -keyout "$F/key" -out "$F/cert" 2>/dev/null
	cat "$F/cert" "$F/key" >"$F/memnet.pem"
}

# behind nginx|haproxy OPTION… — memnet stream with OPTIONs behind it; $TLS is where the space is.
behind() {
	local front=$1 port metrics upstream
	shift
	read -r port metrics < <(free_ports 2)
	METRICS=http://127.0.0.1:$metrics/metrics
	serve --metrics "127.0.0.1:$metrics" "$@"
	upstream=${URL#http://} upstream=${upstream%%/*}
	certificate
	"start_$front" "$port" "$upstream"
	TLS=https://127.0.0.1:$port/vm1/out
	listens() { ! kill -0 "$FRONT" 2>/dev/null || { : <>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; }
	until_true listens
	kill -0 "$FRONT" || { cat "$F/out" && false; }
}

start_nginx() {
	command -v nginx >/dev/null || skip "needs nginx"
	printf 'viewer:%s\n' "$(openssl passwd -apr1 secret)" >"$F/htpasswd"
	sed -e "s/127.0.0.1:8080/$2/" -e "s/listen 443/listen 127.0.0.1:$1/" -e '/listen \[::\]/d' \
		-e "s,/etc/ssl/private,$F," -e "s,/etc/nginx/memnet.htpasswd,$F/htpasswd," \
		"$MEMNET_SRC/share/nginx/memnet.conf" >"$F/memnet.conf"
	cat >"$F/nginx.conf" <<-END
		daemon off; pid $F/pid; error_log $F/error.log; user root;
		events {}
		http { access_log off; client_body_temp_path $F/b; proxy_temp_path $F/p; fastcgi_temp_path $F/f;
		uwsgi_temp_path $F/u; scgi_temp_path $F/s; include $F/memnet.conf; }
	END
	nginx -e "$F/error.log" -c "$F/nginx.conf" >"$F/out" 2>&1 3>&- &
	FRONT=$!
}

start_haproxy() {
	command -v haproxy >/dev/null || skip "needs haproxy"
	sed -e "s/127.0.0.1:8080/$2/" -e "s/bind :443/bind 127.0.0.1:$1/" -e "s,/etc/ssl/private,$F," \
		-e "s,viewer password .*,viewer insecure-password secret," \
		"$MEMNET_SRC/share/haproxy/memnet.cfg" >"$F/haproxy.cfg"
	haproxy -db -f "$F/haproxy.cfg" >"$F/out" 2>&1 3>&- &
	FRONT=$!
}

# front ARG… — curl through the front server, as someone it knows.
front() {
	curl -sS --max-time 20 --cacert "$F/cert" -u viewer:secret "$@"
}

# live NAME — begins to write it live, as a guest does it.
live() {
	echo >"$D/.memnet/live/$1"
	: >"$D/$1"
}

passes_finished_objects() {
	front "$TLS/x.ts" | cmp - "$D/x.ts"
	front -r 1000-1999999 "$TLS/x.ts" | cmp - <(tail -c +1001 "$D/x.ts" | head -c 1999000)
	front -r 0-0,-2 "$TLS/x.ts" | grep -aq 'Content-Range: bytes 2999998-2999999/3000000'
	run front -I -r 5-9 "$TLS/x.ts"
	[[ ${output,,} == *" 206"*"content-type: video/mp2t"*"content-range: bytes 5-9/3000000"* ]]
	etag=$(sed -n 's/^etag: \(.*\)\r/\1/pi' <<<"$output")
	[ "$(front -o /dev/null -w '%{http_code}' -H "If-None-Match: $etag" "$TLS/x.ts")" = 304 ]
	[ "$(front -o /dev/null -w '%{http_code}' "$TLS/nope")" = 404 ]
	[ "$(front -o /dev/null -w '%{http_code}' -X DELETE "$TLS/x.ts")" -ge 403 ]
}

lets_in_whom_it_knows() {
	[ "$(curl -s -o /dev/null -w '%{http_code}' --cacert "$F/cert" "$TLS/x.ts")" = 401 ]
	[ "$(curl -s -o /dev/null -w '%{http_code}' --cacert "$F/cert" -u viewer:wrong "$TLS/x.ts")" = 401 ]
}

# What is there of a live object comes at once, and its end is its end.
passes_growing_objects() {
	live l.ts
	random 1000 >>"$D/l.ts"
	front -N -o "$F/got" "$TLS/l.ts" 3>&- &
	local client=$!
	for size in 1000 1 300000; do
		random "$size" >>"$D/l.ts"
		until_true cmp -s "$F/got" "$D/l.ts"
	done
	rm "$D/.memnet/live/l.ts"
	wait "$client"
	cmp "$F/got" "$D/l.ts"
}

breaks_off_with_the_writer() {
	live l2.ts
	random 1000 >>"$D/l2.ts"
	front -N -o "$F/part" "$TLS/l2.ts" 2>/dev/null 3>&- &
	local client=$! status=0
	until_true [ -s "$F/part" ]
	rm "$D/l2.ts" "$D/.memnet/live/l2.ts"
	wait "$client" || status=$?
	echo "curl ends with $status"
	[ "$status" -ne 0 ]
	[ "$status" -ne 28 ]
}

holds_playlist_requests() {
	printf '#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:1,\ns0.ts\n' >"$D/l.m3u8"
	front -o "$F/list" "$TLS/l.m3u8?_HLS_msn=1" 3>&- &
	local client=$!
	until_true grep -q inotify "/proc/$SERVER/fdinfo/"*
	{ cat "$D/l.m3u8" && printf '#EXTINF:1,\ns1.ts\n'; } >"$D/l.tmp"
	mv "$D/l.tmp" "$D/l.m3u8"
	wait "$client"
	grep -q '^s1.ts' "$F/list"
}

# Each client has a connection of its own to the front server, which shares those to memnet.
is_kept() {
	accepted() { curl -s "$METRICS" | sed -n 's/^memnet_stream_accepted_total //p'; }
	local before after
	before=$(accepted)
	for _ in 1 2 3 4 5 6 7 8; do front -o /dev/null -r 0-99 "$TLS/x.ts"; done
	after=$(accepted)
	[ $((after - before)) -le 4 ]
}

# 3 MB at 1 MB/s, of which sockets on the way may hold some.
is_paced() {
	local took
	took=$(front -o /dev/null -w '%{time_total}' "$TLS/x.ts")
	[ "${took%.*}" -ge 1 ]
}

@test "nginx: finished objects, ranges, conditions; a password" {
	behind nginx
	passes_finished_objects
	lets_in_whom_it_knows
}

@test "nginx: growing objects, to their end or broken off; playlists that are waited for" {
	behind nginx
	passes_growing_objects
	breaks_off_with_the_writer
	holds_playlist_requests
}

@test "nginx: connections to memnet are kept; a rate holds" {
	behind nginx --client-rate 1MB
	is_kept
	is_paced
}

@test "haproxy: finished objects, ranges, conditions; a password" {
	behind haproxy
	passes_finished_objects
	lets_in_whom_it_knows
}

@test "haproxy: growing objects, to their end or broken off; playlists that are waited for" {
	behind haproxy
	passes_growing_objects
	breaks_off_with_the_writer
	holds_playlist_requests
}

@test "haproxy: connections to memnet are kept; a rate holds" {
	behind haproxy --client-rate 1MB
	is_kept
	is_paced
}

@test "haproxy: the configuration as it is lets nobody in" {
	command -v haproxy >/dev/null || skip "needs haproxy"
	certificate
	sed -e "s,/etc/ssl/private,$F," "$MEMNET_SRC/share/haproxy/memnet.cfg" >"$F/haproxy.cfg"
	haproxy -c -q -f "$F/haproxy.cfg"
}
