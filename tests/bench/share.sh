#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2119 # sourced by a variable path; vm_setup without a folder
# What memnet share costs, as medians: create and resize (process time), list of 200 spaces, attach until the guest's
# driver runs, and 1,000 create/resize/destroy cycles with what they leave behind.
#
#   MEMNET=build/memnet tests/bench/share.sh [CYCLES]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/guest/vm.sh
source "$here/../guest/vm.sh"
cycles=${1:-1000}
trap vm_teardown EXIT
vm_setup
vm_host_open
export MEMNET_RUNTIME_DIR=$VM_DIR/run

share()
{
	vm_host "$MEMNET" share "$@"
}

# median_ms N COMMAND…: runs it N times in one shell of the namespace; {} is the number of the run
median_ms()
{
	local n=$1

	shift
	# shellcheck disable=SC2016 # expanded by the inner shell
	vm_host bash -c '
		n=$1; shift
		for ((i = 0; i < n; i++)); do
			start=$EPOCHREALTIME
			"${@//\{\}/$i}" >/dev/null || exit
			end=$EPOCHREALTIME
			echo $((${end/./} - ${start/./}))
		done' bash "$n" "$@" | sort -n | awk '{ t[NR] = $1 } END { printf "%.2f\n", t[int((NR + 1) / 2)] / 1000 }'
}

# What might leak: mounts, QEMU's descriptors, its memory and the kernel's, devices.
traces()
{
	local pid

	pid=$(vm_pid bench)
	echo "mounts=$(vm_host wc -l </proc/"$VM_HOST_PID"/mountinfo)" \
		"qemu_fds=$(find "/proc/$pid/fd" -mindepth 1 | wc -l)" \
		"qemu_rss_kb=$(awk '/VmRSS/ { print $2 }' "/proc/$pid/status")" \
		"shmem_kb=$(awk '/^Shmem:/ { print $2 }' /proc/meminfo)" \
		"inodes=$(vm_host find "$MEMNET_RUNTIME_DIR" | wc -l)"
}

# shellcheck disable=SC2046 # words are what it prints
vm_start bench $(share qemu-args bench)
vm_wait_boot bench
true_ms=$(median_ms 200 /bin/true)
echo "a process that does nothing        $true_ms ms"
share create bench/first --size 1M
share attach bench
echo "create without hotplug             $(median_ms 100 "$MEMNET" share create bench/c{} --size 1M) ms  (at most 3)"
# shellcheck disable=SC2016
echo "resize                             $(median_ms 100 "$MEMNET" share resize bench/c{} 2M) ms  (at most 1)"
for i in {100..198}; do
	share create "bench/c$i" --size 1M
done
echo "list of $(share list -H | wc -l) spaces                $(median_ms 50 "$MEMNET" share list) ms  (at most 10)"
for i in {0..198}; do
	share destroy "bench/c$i"
done
# shellcheck disable=SC2016
attach=$(vm_host bash -c '
	for i in {1..20}; do
		"$1" share detach bench
		start=$EPOCHREALTIME
		"$1" share attach bench
		end=$EPOCHREALTIME
		echo $((${end/./} - ${start/./}))
	done' bash "$MEMNET" | sort -n | sed -n 10p)
echo "attach until the guest's driver runs  $((attach / 1000)) ms  (at most 500)"

vm_run bench 'memnet share mount'
before=$(traces)
start=$EPOCHREALTIME
# shellcheck disable=SC2016
vm_host bash -c '
	for ((i = 0; i < $2; i++)); do
		"$1" share create bench/s --size 1M && "$1" share resize bench/s 2M && "$1" share destroy bench/s || exit
	done' bash "$MEMNET" "$cycles"
end=$EPOCHREALTIME
echo "$cycles create/resize/destroy cycles   $(((${end/./} - ${start/./}) / 1000)) ms"
echo "  before  $before"
echo "  after   $(traces)"
