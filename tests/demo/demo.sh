#!/bin/bash
# demo.sh [--quick] [--json]: memnet's main job in a real guest, beside the old way (./build.sh demo).
#
# Theory of operation
#
# The script starts itself again inside fresh mount, PID and network namespaces (and a user namespace, if not root).
# There it mounts a private tmpfs, boots the VM, and does everything else. That makes cleaning up the kernel's work:
# whatever ends the outer script, even SIGKILL, ends all that is in there (share/bench/lib/contain.sh), the mounts, the
# files on the tmpfs and the network too. Nothing is ever sent outside the network namespace.
#
# The two ways deliver the same bytes of the same input from the same VM to the same curl:
#
#   MemNet   guest: memnet compress --live into the space    host: memnet stream --release delivered
#   old      guest: memnet compress -c straight into a TCP socket (nc -e, no copy between) over virtio-net and a TAP
#
# once with nothing else to do, and then while other clients fetch an earlier result from the same VM: the paper's
# case. The old way serves that with busybox httpd (sendfile), MemNet with memnet stream from another space.

set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${MEMNET_SRC:=$(cd "$here/../.." && pwd)}"
: "${MEMNET:=$MEMNET_SRC/build/memnet}"
: "${MEMNET_GUEST:=$MEMNET_SRC/build/guest}"
export MEMNET MEMNET_GUEST MEMNET_SRC

# What is run: sizes in MB. The space is smaller than the result (about 0.3 of the input), so that it fills.
input_mb=96 repeat=3 space=8M grown=12M shrunk=6M
level=-1
clients=4
client_rate=30M		# four of these fill a gigabit

quick='' json='' inside=''
deadline_s=300

die() {
	echo "demo: $*" >&2
	exit 1
}

# --- outside: namespaces, and an end to everything -------------------------------------------------------------------

outside() {
	local user=() status signal

	[ -x "$MEMNET" ] || die "no $MEMNET (run ./build.sh)"
	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	unshare "${user[@]}" --mount --pid --net --fork --mount-proc true ||
		die "cannot make namespaces (run as root, or allow unprivileged user namespaces)"

	# shellcheck disable=SC1091 # by a variable path
	source "$MEMNET_SRC/share/bench/lib/contain.sh"
	contain bash "$here/demo.sh" --inside "$@"
	status=$?
	case $signal in
	INT) die_signal 130 ;;
	TERM) die_signal 143 ;;
	esac
	exit "$status"
}

die_signal() {
	echo "demo: interrupted; nothing is left behind" >&2
	exit "$1"
}

# --- inside: small tools ---------------------------------------------------------------------------------------------

say() {
	[ -n "$json" ] || printf '%s\n' "$*"
}

progress() {
	[ ! -t 2 ] || printf '\r\033[K%s' "${*:+demo: $*}" >&2
}

heading() {
	progress
	say ''
	say "$*"
}

# Says what it runs, as the reader would type it.
host() {
	say "  host#  memnet $*"
	"$MEMNET" "$@" >"$work/said" || return
	[ -n "$json" ] || sed 's/^/         /' "$work/said"
}

guest() {
	say "  guest# $*"
	vm_run demo "$*"
}

now_us() {
	local now=$EPOCHREALTIME

	echo "${now/[.,]/}"
}

# Waits until the command succeeds, for at most $deadline_s.
await() {
	local what=$1 end=$((SECONDS + deadline_s))

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || die "timed out: $what"
		sleep 0.01
	done
}

used_kb() {
	stat -f -c '%b %f %S' "$runtime/demo/out" | awk '{ printf "%d\n", ($1 - $2) * $3 / 1024 }'
}

# Within 1.5 MB of full: the guest writes pieces of half a MB, and a 9p file system rounds its room down.
nearly_full() {
	[ "$(used_kb)" -ge "$(($1 * 1024 - 1536))" ]
}

job_ended() {
	all_gone "$job"
}

mb() {
	awk -v bytes="$1" 'BEGIN { printf "%.1f MB", bytes / 1e6 }'
}

median() {
	tr ' ' '\n' | grep . | sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# --- inside: the stage -----------------------------------------------------------------------------------------------

# A private tmpfs over a folder that every system has and that nothing we need lies in.
private_folder() {
	for private in /run /mnt /media /srv; do
		case $MEMNET:$MEMNET_GUEST:$MEMNET_SRC in
		*"$private"/*) ;;
		*)
			mount -t tmpfs -o mode=755 memnet-demo "$private" && return
			;;
		esac
	done
	die "no folder to mount a private tmpfs on"
}

# What the kernel's package holds; its modules unpacked, where Debian (13) ships them packed.
kernel_data() {
	local modules=$MEMNET_GUEST/linux/lib/modules

	if [ "$(find -H "$modules/" -name '*.ko.xz' -print -quit)" ]; then
		find "$modules/" -name '*.ko.xz' -print0 | sort -z | xargs -0 xz -dc
	else
		dpkg-deb --fsys-tarfile "$MEMNET_GUEST/linux.deb"
	fi
}

make_input() {
	input=$work/input.tar
	kernel_data 2>/dev/null | head -c "${input_mb}M" >"$input"
	input_bytes=$(stat -c %s "$input")
	[ "$input_bytes" = $((input_mb * 1024 * 1024)) ] || die "$MEMNET_GUEST/linux.deb has less than $input_mb MB"
	input_sum=$(sha256sum <"$input")
}

# The old way's network: a TAP; where /dev/net/tun is not ours, QEMU's own (slower) user-mode stack, and we say so.
make_network() {
	local vhost=off

	ip link set lo up
	if (exec 3<>/dev/net/tun) 2>/dev/null && ip tuntap add dev tap0 mode tap vnet_hdr; then
		ip address add 10.77.0.1/24 dev tap0
		ip link set tap0 up
		[ ! -w /dev/vhost-net ] || vhost=on
		network="virtio-net over a TAP, vhost $vhost"
		network_args=(-netdev "tap,id=net,ifname=tap0,script=no,downscript=no,vhost=$vhost")
		guest_ip=10.77.0.2 old_job=10.77.0.2:80 old_files=10.77.0.2:81
	else
		network="virtio-net over QEMU's user-mode network (slower than a TAP, but /dev/net/tun is not accessible)"
		network_args=(-netdev "user,id=net,hostfwd=tcp:127.0.0.1:8180-:80,hostfwd=tcp:127.0.0.1:8181-:81")
		guest_ip=10.0.2.15 old_job=127.0.0.1:8180 old_files=127.0.0.1:8181
	fi
	network_args+=(-device "virtio-net-pci,netdev=net")
}

boot() {
	local words

	vm_setup "$work" || exit 1
	ln -f "$input" "$work/root/input.tar"
	say "  host#  memnet share qemu-args demo"
	words=$("$MEMNET" share qemu-args demo) || exit 1
	say "  host#  qemu-system-x86_64 … ${words//$'\n'/ }"
	# shellcheck disable=SC2086 # its output is made to be split
	vm_start demo $words "${network_args[@]}" || exit 1
	vm_wait_boot demo || exit 1
	vm_run demo "ip address add $guest_ip/24 dev eth0 && ip link set eth0 up" || exit 1
	write_guest_server
}

# One HTTP answer on standard input and output, which nc -e makes the socket.
write_guest_server() {
	cat >"$work/serve-job" <<SERVER
#!/bin/sh
while read -r line && [ "\${#line}" -gt 1 ]; do :; done
printf 'HTTP/1.0 200 OK\r\n\r\n'
exec memnet compress $level -c /input.tar
SERVER
	vm_put demo "$work/serve-job" /bin/serve-job || exit 1
	vm_run demo 'chmod +x /bin/serve-job' || exit 1
}

# Milliseconds that a host command took, its output shown.
timed_host() {
	local start

	start=$(now_us)
	host "$@" || die "memnet $1 $2 failed"
	took_ms=$(awk -v us=$(($(now_us) - start)) 'BEGIN { printf "%.1f", us / 1000 }')
}

start_stream() {
	local port=$1

	shift
	say "  host#  memnet stream --listen http://127.0.0.1:$port $* &"
	"$MEMNET" stream --listen "http://127.0.0.1:$port" "$@" >"$work/stream-$port.log" 2>&1 &
	stream_pid=$!
	await "memnet stream to listen" stream_answers "$port"
}

stop_streams() {
	kill -TERM "$stream_job" "$stream_files"
	await "memnet stream to end" all_gone "$stream_job" "$stream_files"
}

all_gone() {
	local pid

	for pid; do
		! kill -0 "$pid" 2>/dev/null || return 1
	done
}

# Any HTTP answer, a 404 too, says that it listens.
stream_answers() {
	kill -0 "$stream_pid" || die "memnet stream ended: $(cat "$work/stream-$1.log")"
	curl -s -o /dev/null "http://127.0.0.1:$1/"
}

# --- inside: what is shown -------------------------------------------------------------------------------------------

create_spaces() {
	timed_host share create demo/out --size "$space"
	create_ms=$took_ms
	# shellcheck disable=SC2016 # for the guest's shell
	attach_ms=$(vm_run demo 'read -r a _ </proc/uptime; memnet share mount >&2; status=$?; read -r b _ </proc/uptime
		echo "$a $b" | awk "{ printf \"%d\", (\$2 - \$1) * 1000 }"; exit $status') || die "the guest cannot mount"
	say "  guest# memnet share mount"
	timed_host share create demo/served --size 128M
	create_next_ms=$took_ms
	start_stream 8080 --release delivered demo/out
	stream_job=$stream_pid
	start_stream 8081 --release never demo/served
	stream_files=$stream_pid
}

# Checks that what a client got decompresses to the input.
check() {
	[ "$(zstd -dc "$1" | sha256sum)" = "$input_sum" ] || die "what the client got is not the input ($2)"
}

watch_one_job() {
	local before after client status

	say "  guest# memnet compress $level --live --to /mnt/memnet/out -o watched.zst /input.tar &"
	vm_run demo "memnet compress $level --live --to /mnt/memnet/out -o watched.zst /input.tar" >"$work/job.log" 2>&1 &
	job=$!
	await "the space to fill" nearly_full_or_dead "${space%M}"
	read -r before _ < <(vm_cpu demo)
	sleep 0.5	# an interval to measure over, not a wait
	read -r after _ < <(vm_cpu demo)
	say "         nobody fetches yet: the space is full ($(used_kb) of $((${space%M} * 1024)) KB), the guest waits" \
		"($(awk -v d="$after $before" 'BEGIN { split(d, t); printf "%.0f", (t[1] - t[2]) / 0.5 * 100 }') % of its vCPU busy)"

	timed_host share resize demo/out "$grown"
	grow_ms=$took_ms
	await "the larger space to fill" nearly_full_or_dead "${grown%M}"
	say "         the job went on, to $(used_kb) KB; smaller than what it holds is refused:"
	say "  host#  memnet share resize demo/out $shrunk"
	"$MEMNET" share resize demo/out "$shrunk" 2>"$work/refused"
	status=$?
	[ "$status" = 7 ] || die "shrinking below use: exit $status instead of 7: $(cat "$work/refused")"
	say "         $(cat "$work/refused") [exit 7]"

	say "  client\$ curl http://127.0.0.1:8080/demo/out/watched.zst | zstd -d | sha256sum"
	curl -sS --fail --max-time "$deadline_s" -o "$work/got" http://127.0.0.1:8080/demo/out/watched.zst 9>&- &
	client=$!
	await "room in the space" below "${shrunk%M}"
	job_ended && die "the job ended before the space could be made smaller"
	timed_host share resize demo/out "$shrunk"
	shrink_ms=$took_ms
	wait "$client" || die "the client failed: $(cat "$work/stream-8080.log")"
	wait "$job" || die "the job failed: $(cat "$work/job.log")"
	check "$work/got" "watched job"
	result_bytes=$(stat -c %s "$work/got")
	say "         $(mb "$input_bytes") became $(mb "$result_bytes"), through a space of $space, $grown and then $shrunk;" \
		"the client's sha256 is the input's"
}

nearly_full_or_dead() {
	! job_ended || die "the job ended instead of waiting: $(cat "$work/job.log")"
	nearly_full "$1"
}

below() {
	[ "$(used_kb)" -lt "$(($1 * 1024 - 1024))" ]
}

# --- inside: the measurements ----------------------------------------------------------------------------------------

job_memnet() {
	local name=$1.zst

	vm_run demo "memnet compress $level --live --to /mnt/memnet/out -o $name /input.tar" >"$work/job.log" 2>&1 &
	job=$!
	await "the live object" exists_or_dead "$runtime/demo/out/$name"
	curl -sS --fail --max-time "$deadline_s" -o "$work/got" "http://127.0.0.1:8080/demo/out/$name"
}

exists_or_dead() {
	[ -e "$1" ] || { job_ended && die "the job failed: $(cat "$work/job.log")"; }
}

job_old() {
	vm_run demo 'nc -l -p 80 -e /bin/serve-job' >"$work/job.log" 2>&1 &
	job=$!
	rm -f "$work/got"
	await "the guest's server" curl_or_dead
}

curl_or_dead() {
	curl -sS --fail --max-time "$deadline_s" -o "$work/got" "http://$old_job/" 2>"$work/curl.log" && return
	[ ! -s "$work/got" ] || die "the old way's client failed: $(cat "$work/curl.log")"
	! job_ended || die "the guest's server ended: $(cat "$work/job.log")"
	return 1
}

start_clients() {
	local way=$1 count=$2 rate=$3 url i

	case $way in
	memnet) url=http://127.0.0.1:8081/demo/served/earlier.zst ;;
	old) url=http://$old_files/earlier.zst ;;
	esac
	client_pids=()
	for ((i = 0; i < count; i++)); do
		# The range makes it one curl that fetches again and again; the fragment is not sent.
		curl -sS --fail --limit-rate "$rate" -o /dev/null "$url#[1-1000000]" >/dev/null 2>"$work/client$i.log" &
		client_pids+=($!)
	done
	await "the clients' first bytes" clients_run
}

# What a curl has written to /dev/null is what has been delivered to it.
client_bytes() {
	local pid

	for pid in "${client_pids[@]}"; do
		sed -n 's/^wchar: //p' "/proc/$pid/io" 2>/dev/null || echo 0
	done
}

clients_run() {
	! client_bytes | awk '$1 < 100000 { slow = 1 } END { exit !slow }'
}

stop_clients() {
	kill "${client_pids[@]}" 2>/dev/null
	wait "${client_pids[@]}" 2>/dev/null
}

# measure CASE WAY CLIENTS RATE: one job; appends the six figures of rows_of_case to $work/CASE.WAY
measure() {
	local case=$1 way=$2 vcpu other sender bytes start us

	runs=$((runs + 1))
	progress "measuring, $runs of $((repeat * 6))"
	client_pids=()
	[ "$3" = 0 ] || start_clients "$way" "$3" "$4"
	read -r vcpu other < <(vm_cpu demo)
	sender=$(senders_cpu)
	bytes=$(clients_total)
	start=$(now_us)
	"job_$way" "$case$runs" || die "the client failed"
	us=$(($(now_us) - start))
	bytes=$(($(clients_total) - bytes))
	awk -v us="$us" -v bytes="$bytes" -v input="$input_bytes" \
		-v cpu="$(vm_cpu demo) $(senders_cpu) $vcpu $other $sender" 'BEGIN {
		split(cpu, c)
		printf "%.3f %.1f %.1f %.3f %.3f %.3f\n", us / 1e6, input / us, bytes / us, c[1] - c[4], c[2] - c[5], c[3] - c[6]
	}' >>"$work/$case.$way"
	[ "$3" = 0 ] || stop_clients
	wait "$job" || die "the job failed: $(cat "$work/job.log")"
	check "$work/got" "$case, $way"
}

clients_total() {
	client_bytes | awk '{ sum += $1 } END { printf "%d", sum }'
}

senders_cpu() {
	{ vm_process_cpu "$stream_job"; vm_process_cpu "$stream_files"; } | awk '{ sum += $1 } END { print sum }'
}

measure_all() {
	local i way

	runs=0
	# What the other clients fetch: barely compressed, so that one fetch takes them a while.
	vm_run demo 'memnet compress --fast=50 --to /mnt/memnet/served -o earlier.zst /input.tar &&
		cp /mnt/memnet/served/earlier.zst /srv && httpd -p 81 -h /srv' || die "the guest cannot serve"
	for ((i = 0; i < repeat; i++)); do
		for way in memnet old; do
			measure alone "$way" 0
			measure paced "$way" "$clients" "$client_rate"
			measure greedy "$way" 1 100G
		done
	done
	progress
}

# --- inside: the table -----------------------------------------------------------------------------------------------

# column CASE WAY N: the median of the N-th figure
column() {
	cut -d ' ' -f "$3" "$work/$1.$2" | median
}

row() {
	printf '  %-44s %9s %9s %11s   %s\n' "$@" | sed 's/ *$//'
}

# row_of TITLE CASE N DECIMALS PAPER
row_of() {
	local memnet old

	memnet=$(column "$2" memnet "$3")
	old=$(column "$2" old "$3")
	row "$1" "$(printf '%.*f' "$4" "$memnet")" "$(printf '%.*f' "$4" "$old")" \
		"$(awk -v m="$memnet" -v o="$old" 'BEGIN { if (o > 0.05) printf "%+.0f %%", (m / o - 1) * 100; else print "" }')" "$5"
}

rows_of_case() {
	row_of "job completion, s" "$1" 1 2 "${2:-}"
	row_of "job throughput, MB/s of input" "$1" 2 1 ""
	[ "$1" = alone ] || row_of "throughput of the other clients, MB/s" "$1" 3 0 "${3:-}"
	row_of "guest vCPU, s" "$1" 4 2 ""
	row_of "other QEMU CPU, s" "$1" 5 2 ""
	row_of "memnet stream CPU on the host, s" "$1" 6 2 ""
}

table() {
	heading "Results (medians of $repeat interleaved runs)"
	row "" MemNet "old way" difference "the paper"
	row "create a VM's first space (plugs the device)" "$create_ms ms" "" "" '"quickly mounted and lifted"'
	row "attach (the guest waits for it and mounts)" "$attach_ms ms" "" "" ""
	row "create another space" "$create_next_ms ms" "" "" ""
	row "resize in mid-job: larger" "$grow_ms ms" "" "" ""
	row "resize in mid-job: smaller" "$shrink_ms ms" "" "" ""
	say "One job to one client, nothing else"
	rows_of_case alone
	say "The job while $clients clients fetch another file from the VM, ${client_rate}B/s each (together a gigabit)"
	rows_of_case paced "-27 %; 26 s v 29 s while streaming" "+70 %"
	say "The job while one client fetches another file as fast as it can"
	rows_of_case greedy
}

# The medians, for programs.
table_json() {
	local case way

	printf '{"schema": 1, "accel": "%s", "cores": %d, "input_bytes": %d, "result_bytes": %d, "runs": %d,\n' \
		"$VM_ACCEL" "$(nproc)" "$input_bytes" "$result_bytes" "$repeat"
	printf ' "create_ms": %s, "attach_ms": %s, "create_next_ms": %s, "grow_ms": %s, "shrink_ms": %s' \
		"$create_ms" "$attach_ms" "$create_next_ms" "$grow_ms" "$shrink_ms"
	for case in alone paced greedy; do
		for way in memnet old; do
			printf ',\n "%s_%s": {"job_s": %s, "job_mb_per_s": %s, "clients_mb_per_s": %s, "vcpu_s": %s, "qemu_other_s": %s, "stream_s": %s}' \
				"$case" "$way" "$(column "$case" "$way" 1)" "$(column "$case" "$way" 2)" "$(column "$case" "$way" 3)" \
				"$(column "$case" "$way" 4)" "$(column "$case" "$way" 5)" "$(column "$case" "$way" 6)"
		done
	done
	printf '}\n'
}

where() {
	local accel

	case $VM_ACCEL in
	kvm) accel="KVM" ;;
	*) accel="TCG, QEMU's emulation, for lack of usable KVM: all CPU work in the guest is several times slower" ;;
	esac
	say ''
	say "Run under $accel; $(nproc) host cores, guest with $VM_CPUS vCPU and $VM_MEM; the old way's network: $network."
	say "$(qemu-system-x86_64 --version | head -n 1); host Linux $(uname -r), guest Linux $(basename "$MEMNET_GUEST"/linux/boot/vmlinuz-* | cut -d- -f2-); $("$MEMNET" --version | head -n 1); $(curl --version | cut -d ' ' -f 1,2 | head -n 1); $(date -u +%F)."
	contended && say "Other programs took part of the CPU meanwhile: trust the CPU seconds more than the times."
	say "Times of commands are of whole processes. The clients run on the same cores as the VM and the sender; the paper's were on other machines, its VM under KVM. Its +32 % energy efficiency is not measured here."
}

# Alone, a job takes about as long as its vCPU computes; with a third more, something else was in its way.
contended() {
	awk '{ seconds += $1; vcpu += $4 } END { exit !(seconds > 1.33 * vcpu) }' "$work/alone.memnet" "$work/alone.old"
}

inside() {
	[ -z "$quick" ] || { input_mb=48 repeat=1 space=4M grown=8M shrunk=3M; }
	private_folder
	work=$private/demo
	runtime=$private/memnet
	export MEMNET_RUNTIME_DIR=$runtime MEMNET_CONF=$work/memnet.conf TMPDIR=$work
	mkdir -p "$work"
	: >"$MEMNET_CONF"
	# shellcheck disable=SC1091
	source "$here/../guest/vm.sh"

	say "memnet's main job in a real guest ($([ "$(vm_accel)" = kvm ] && echo KVM || echo "TCG: no usable KVM"))"
	progress "unpacking $input_mb MB of input"
	make_input
	make_network
	heading "1. A VM, a space, both sides attached"
	boot
	create_spaces
	heading "2, 3. A job through a space smaller than its result, resized meanwhile"
	watch_one_job
	heading "4. The same job both ways, alone and while the VM serves other clients ($((repeat * 6)) runs)"
	[ "$guest_ip" = 10.77.0.2 ] || say "  Note that the old way's network is $network."
	host share resize demo/out "$space" || die "cannot resize"
	measure_all
	if [ -n "$json" ]; then
		table_json
	else
		table
		where
	fi
	heading "5. All given back"
	stop_streams
	host share destroy demo/out || die "cannot destroy demo/out"
	host share destroy demo/served --force || die "cannot destroy demo/served"
	vm_stop demo
}

args=("$@")
for arg; do
	case $arg in
	--quick) quick=1 ;;
	--json) json=1 ;;
	--inside) inside=1 ;;
	*) echo "usage: demo.sh [--quick] [--json]" >&2; exit 2 ;;
	esac
done
if [ -n "$inside" ]; then
	inside
else
	outside "${args[@]}"
fi
