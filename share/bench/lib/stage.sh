# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # the settings are memnet-bench's
# Where it all happens, and that nothing is left of it.
#
# Theory of operation. The outer script makes what outlives a process, which is one cgroup, and runs the inner one as
# the first process of a PID namespace (contain.sh). Whatever ends the outer script ends the inner one, and with it the
# mounts, the files on the private tmpfs, the network namespaces, TAPs and routes. A cgroup left by an outer script that
# was killed is removed by the next run.

die() {
	echo "memnet-bench: $*" >&2
	[ -z "${began_s:-}" ] || [ ! -s "$out/runs.tsv" ] ||
		echo "memnet-bench: a report of what was measured before: memnet-bench --report ${out@Q}" >&2
	exit 1
}

say() {
	echo "memnet-bench: $*" >&2
}

# --- programs --------------------------------------------------------------------------------------------------------

# In the tree as it is built, or where make install puts them.
find_programs() {
	local above

	above=$(dirname "$(dirname "$self")")
	if [ -f "$above/../tests/guest/vm.sh" ]; then
		above=$(dirname "$above")
		: "${MEMNET:=$above/build/memnet}" "${MEMNET_GUEST:=$above/build/guest}"
		helpers=$above/build/tests/bench vm_sh=$above/tests/guest/vm.sh
	else
		: "${MEMNET:=$above/bin/memnet}"
		helpers=$above/libexec/memnet vm_sh=$lib/vm.sh
	fi
	nginx=$(command -v nginx || find /usr/sbin /usr/local/sbin -name nginx -print -quit 2>/dev/null)
	virtiofsd=$(command -v virtiofsd || find /usr/libexec /usr/lib/qemu -name virtiofsd -print -quit 2>/dev/null)
	export MEMNET MEMNET_GUEST
}

need() {
	local missing=() program

	for program in qemu-system-x86_64 busybox curl ip xz zstd taskset setpriv; do
		command -v "$program" >/dev/null || missing+=("$program")
	done
	[ -n "$nginx" ] || missing+=(nginx)
	[[ ,$only, != *,transcode,* ]] || command -v ffmpeg >/dev/null || missing+=(ffmpeg)
	[ ${#missing[@]} = 0 ] || die "not installed: ${missing[*]} (Debian: apt-get install --no-install-recommends \
qemu-system-x86 busybox-static curl iproute2 xz-utils zstd util-linux nginx-light ffmpeg gnuplot-nox)"
	[ -x "$MEMNET" ] || die "no $MEMNET (run make)"
	[ -x "$helpers/client_bench" ] || die "no $helpers/client_bench (run make)"
	[ "$(nproc)" -ge 2 ] || die "one CPU is too little: the VM has one, clients and servers need another"
	[ "$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)" -ge 3600 ] || die "less than 4 GB of memory is free: the VM has 2, its results and tools take more"
	[ -c /dev/net/tun ] || die "no /dev/net/tun (modprobe tun)"
	[ -n "$virtiofsd" ] || say "no virtiofsd: runs without that peer (since Debian 13: apt-get install virtiofsd)"
	command -v gnuplot >/dev/null || say "no gnuplot: there will be no plots (install gnuplot-nox)"
}

# --- outside ---------------------------------------------------------------------------------------------------------

# The folder that CPU limits are made in, or nothing. Version 2 wants the controller handed down.
cgroup_root() {
	if [ -f /sys/fs/cgroup/cpu/cpu.cfs_quota_us ]; then
		echo /sys/fs/cgroup/cpu
	elif grep -qsw cpu /sys/fs/cgroup/cgroup.subtree_control; then
		echo /sys/fs/cgroup
	fi
}

cgroup_make() {
	local root

	root=$(cgroup_root)
	cgroup=''
	[ -n "$root" ] || { say "no CPU controller in /sys/fs/cgroup: no caps (version 2: echo +cpu \
>/sys/fs/cgroup/cgroup.subtree_control)"; return; }
	cgroup_sweep "$root"
	cgroup=$root/memnet-bench.$$
	mkdir "$cgroup" || die "$cgroup: cannot make it"
}

# Those whose outer script is gone.
cgroup_sweep() {
	local left

	for left in "$1"/memnet-bench.*; do
		[ ! -d "$left" ] || [ -d "/proc/${left##*.}" ] || rmdir "$left" 2>/dev/null
	done
}

# The kernel counts a process out some time after it has ended.
cgroup_remove() {
	local end=$((SECONDS + 10))

	[ -n "$cgroup" ] || return
	until rmdir "$cgroup" 2>/dev/null; do
		[ "$SECONDS" -lt "$end" ] || { say "$cgroup: still in use"; return; }
		sleep 0.05
	done
}

outside() {
	local status signal

	[ "$(id -u)" = 0 ] || die "must be root: it makes namespaces, a TAP and a cgroup (try sudo memnet-bench)"
	find_programs
	need
	: "${out:=memnet-bench.$(date +%Y%m%d-%H%M%S)}"
	mkdir -p "$out/raw" || die "$out: cannot make it"
	out=$(readlink -f "$out")
	[[ $out/ != /run/* ]] || die "$out: not below /run, which is made private (name another -o)"
	[ ! -s "$out/runs.tsv" ] || die "$out has results already (name another -o, or use --report)"
	cgroup_make
	export cgroup helpers vm_sh nginx virtiofsd

	contain bash "$self" --inside "$@" -o "$out"
	status=$?
	cgroup_remove
	case $signal in
	INT) say "interrupted; only $out is left behind" && exit 130 ;;
	TERM) say "ended; only $out is left behind" && exit 143 ;;
	esac
	exit "$status"
}

# --- inside ----------------------------------------------------------------------------------------------------------

inside() {
	local scenario

	began_s=$SECONDS left_out=''
	stage_folder
	stage_cpus
	stage_network
	say "results go to $out"
	boot
	start_servers
	prepare_jobs
	versions >"$out/versions.tsv"
	for ((round = 1; round <= rounds; round++)); do
		for scenario in ${only//,/ }; do
			"scenario_$scenario"
		done
	done
	printf '%s\t%s\n' seconds $((SECONDS - began_s)) left_out "$left_out" >>"$out/versions.tsv"
	stop_servers
	vm_stop "$vm"
	make_report
}

# A private tmpfs over /run: nothing we need lies there, and all goes with the mount namespace.
stage_folder() {
	local energy

	# What the model of energy is told stays; which VMs this host has does not.
	energy=$(sed -n '/^\[energy\]/,/^\[/p' "${MEMNET_CONF:-/etc/memnet/memnet.conf}" 2>/dev/null | sed '1!{/^\[/d}')
	mount -t tmpfs -o mode=755 memnet-bench /run || die "cannot mount a private /run"
	work=/run/bench
	mkdir -p "$work" /run/netns
	export MEMNET_RUNTIME_DIR=/run/memnet TMPDIR=$work
	echo "$energy" >"$work/memnet.conf"
	export MEMNET_CONF=$work/memnet.conf
}

# The vCPU has a CPU, the last that we may use, which it shares with none but QEMU's other threads; clients and servers
# have the others.
stage_cpus() {
	local allowed=()

	mapfile -t allowed < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' | awk -F- '{ for (i = $1; i <= $NF; i++) print i }')
	vm_cpu_id=${allowed[-1]}
	all_cpus=$(IFS=,; echo "${allowed[*]}")
	unset 'allowed[-1]'
	other_cpus=$(IFS=,; echo "${allowed[*]}")
	taskset -cp "$other_cpus" $$ >/dev/null || die "cannot pin itself to CPU $other_cpus"
}

#	guest 10.77.0.2 -- tap0 10.77.0.1, host, 10.78.0.1 veth0 -- veth1 10.78.0.2, the clients' namespace
# As thousands of clients send to the TAP, its queue is long. All routes use the same congestion control, so that it is
# servers that are compared.
stage_network() {
	congestion=cubic
	grep -qw cubic /proc/sys/net/ipv4/tcp_available_congestion_control || congestion=reno
	ip link set lo up
	vhost=off
	[ ! -w /dev/vhost-net ] || vhost=on
	{
		ip tuntap add dev tap0 mode tap vnet_hdr &&
			ip address add 10.77.0.1/24 dev tap0 &&
			ip link set tap0 up txqueuelen 10000 &&
			ip netns add clients &&
			ip link add veth0 type veth peer name veth1 netns clients &&
			ip address add 10.78.0.1/24 dev veth0 &&
			ip link set veth0 up &&
			ip route replace 10.78.0.0/24 dev veth0 congctl "$congestion" &&
			ip -n clients address add 10.78.0.2/24 dev veth1 &&
			ip -n clients link set veth1 up &&
			ip -n clients route add default via 10.78.0.1 congctl "$congestion" &&
			echo 1 >/proc/sys/net/ipv4/ip_forward
	} || die "cannot make the network"
}

in_clients() {
	ip netns exec clients "$@"
}

# await WHAT COMMAND…: until it succeeds, for at most half a minute
await() {
	local what=$1 end=$((SECONDS + 30))

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || die "timed out: $what: $(tail -qn 2 "$work"/*.log 2>/dev/null | tail -n 6)"
		sleep 0.05
	done
}

versions() {
	local model

	model=$(sed -n 's/^model name[\t ]*: //p' /proc/cpuinfo | head -n 1)
	printf '%s\t%s\n' date "$(date -u +%FT%TZ)" mode "$mode" rounds "$rounds" clients "$clients" job "$job_s" \
		accelerator "$VM_ACCEL" cores "$(nproc --all)" cpu "$model" vm_cpu "$vm_cpu_id" other_cpus "$other_cpus" \
		vhost "$vhost" congestion "$congestion" "host kernel" "$(uname -r)" \
		"guest kernel" "$(vm_run "$vm" 'uname -r')" qemu "$(qemu-system-x86_64 --version | head -n 1)" \
		memnet "$("$MEMNET" --version | head -n 1)" nginx "$("$nginx" -v 2>&1 | sed 's/.*: //')" \
		ffmpeg "$(ffmpeg -version 2>/dev/null | sed -n '1s/ Copyright.*//p')" \
		virtiofsd "$([ -n "$virtiofsd" ] && "$virtiofsd" --version 2>&1 | head -n 1)" \
		cgroup "${cgroup%/*}"
}
