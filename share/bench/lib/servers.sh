# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # the settings are memnet-bench's
# The ways to deliver what the guest makes, all there at once; what does not serve costs nothing.
#
#   guest     nginx in the guest, over virtio-net and a TAP; the job writes into the guest's own RAM
#   9p        nginx on the host, from a folder of its tmpfs that the guest has by plain 9p
#   virtiofs  the same by virtiofs
#   memnet    memnet stream on the host, from a space
#
# And one that is none, to compare the VM with bare metal: the job, on the vCPU's CPU, and nginx both on the host.
#
#   bare      while the VM is idle

space=$vm/out
# Any other way than by a server in the guest: the host's address on the clients' side.
host_ip=10.78.0.1

ways() {
	echo "guest memnet 9p${virtiofsd:+ virtiofs}"
}

title_of() {
	case $1 in
	guest) echo "nginx in the guest" ;;
	9p) echo "nginx on the host, plain 9p" ;;
	virtiofs) echo "nginx on the host, virtiofs" ;;
	memnet) echo "MemNet" ;;
	bare) echo "all on the host, no VM" ;;
	esac
}

# url_of WAY FILE
url_of() {
	case $1 in
	guest) echo "http://$guest_ip:80/$2" ;;
	9p) echo "http://$host_ip:8001/$2" ;;
	virtiofs) echo "http://$host_ip:8002/$2" ;;
	memnet) echo "http://$host_ip:8003/$space/$2" ;;
	bare) echo "http://$host_ip:8004/$2" ;;
	esac
}

# The folder that WAY serves, where its job runs.
folder_of() {
	case $1 in
	guest) echo /srv/www ;;
	9p) echo /mnt/p9 ;;
	virtiofs) echo /mnt/vfs ;;
	memnet) echo /mnt/memnet/out ;;
	bare) echo "$work/bare" ;;
	esac
}

# at_way COMMAND: where the job of $way runs
at_way() {
	case $way in
	bare) PATH=$work/bin:$PATH taskset -c "$vm_cpu_id" sh -c "$1" ;;
	*) guest "$1" ;;
	esac
}

start_servers() {
	"$MEMNET" share create "$space" --size 1G >/dev/null || die "cannot create $space"
	guest 'memnet share mount' >/dev/null || die "the guest cannot mount"
	start_memnet
	start_nginx
	guest_nginx
}

start_memnet() {
	"$MEMNET" stream -q --listen "http://$host_ip:8003" --congestion "$congestion" "$space" >"$work/stream.log" 2>&1 &
	stream_pid=$!
	await "memnet stream" answers "http://$host_ip:8003/"
}

# Any HTTP answer, a 404 too, says that it listens.
answers() {
	in_clients curl -s -o /dev/null --max-time 2 "$1"
}

# One process, as memnet stream is one: more would take more CPUs than the host has to give.
nginx_conf() {
	cat <<-CONF
		daemon off; master_process off; pid $1/nginx.pid; error_log $1/nginx.err;
		events { worker_connections 20000; }
		http {
			sendfile on; tcp_nopush on; access_log off; default_type a/b; keepalive_requests 1000000;
			client_body_temp_path $1/a; proxy_temp_path $1/b; fastcgi_temp_path $1/c;
			uwsgi_temp_path $1/d; scgi_temp_path $1/e;
			$2
		}
	CONF
}

start_nginx() {
	mkdir -p "$work/nginx" "$work/bare"
	nginx_conf "$work/nginx" "server { listen $host_ip:8001 backlog=4096; root $work/p9; }
		server { listen $host_ip:8002 backlog=4096; root $work/vfs; }
		server { listen $host_ip:8004 backlog=4096; root $work/bare; }" >"$work/nginx/conf"
	(ulimit -Sn "$(ulimit -Hn)" && exec "$nginx" -c "$work/nginx/conf") >"$work/nginx.log" 2>&1 &
	nginx_pid=$!
	await "nginx on the host" answers "http://$host_ip:8001/"
}

guest_nginx() {
	nginx_conf /run/nginx 'server { listen 80 backlog=4096; root /srv/www; }' >"$work/guest-nginx.conf"
	guest 'mkdir -p /run/nginx /var/log/nginx /var/lib/nginx'
	vm_put "$vm" "$work/guest-nginx.conf" /run/nginx/conf
	guest 'ulimit -n 30000; nginx -c /run/nginx/conf >/run/nginx/log 2>&1 &' || die "no nginx in the guest"
	await "nginx in the guest" answers "http://$guest_ip/"
}

stop_servers() {
	kill "$stream_pid" "$nginx_pid"
	wait "$stream_pid" "$nginx_pid" 2>/dev/null
	"$MEMNET" share destroy --force "$space" >/dev/null
}
