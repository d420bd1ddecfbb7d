#!/bin/bash
# shellcheck disable=SC1091 # sourced by a variable path
# What compress costs a guest: into the 9p space against /dev/null, at level 3, input in the guest's RAM. CPU time of the
# process as the guest counts it, and of the vCPU thread as the host does, in pairs; then microseconds of one publish and
# of one record against a plain file's. Where there is no KVM the guest is emulated, and only the ratios say something.
#
#	tests/bench/guest.sh [PAIRS] [MB]      7 pairs of 64 MB
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/guest/vm.sh
source "$here/../guest/vm.sh"
pairs=${1:-7} megabytes=${2:-64}
export VM_MEM=1G VM_DEADLINE=300
trap vm_teardown EXIT
# shellcheck disable=SC2119 # its arguments are not ours
vm_setup_memnet
{ cat "$MEMNET_GUEST"/linux/boot/vmlinuz-* /usr/lib/*/*.so.* || true; } 2>/dev/null | head -c "${megabytes}M" >"$VM_DIR/input" ||
	true
vm_add "$VM_DIR/input" /input
vm_add "$MEMNET_SRC/build/tests/bench/publish_bench" /publish_bench
vm_start_memnet bench
vm_wait_boot bench
vm_host "$MEMNET" share create bench/out --size "${megabytes}M"
vm_run bench 'memnet share mount'

# once WORDS…: "SECONDS-IN-GUEST VCPU-SECONDS" of a compress with these words
once() {
	local before after process

	read -r before _ < <(vm_cpu bench)
	process=$(vm_run bench "time -o /took -f '%U %S' memnet compress -q3 $*; cat /took; rm -f /mnt/memnet/out/x")
	read -r after _ < <(vm_cpu bench)
	awk -v b="$before" -v a="$after" '{ printf "%.3f %.3f\n", $1 + $2, a - b }' <<<"$process"
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

once -c /input '>/dev/null' >"$VM_DIR/first"	# the emulator's own first time
once --to /mnt/memnet/out -o x /input >"$VM_DIR/first"
for ((i = 0; i < pairs; i++)); do
	echo "$(once --to /mnt/memnet/out -o x /input) $(once -c /input '>/dev/null')"
done >"$VM_DIR/pairs"
echo "$pairs pairs of $megabytes MB, level 3, $VM_ACCEL: seconds into the space, to /dev/null, and the median of the ratios"
for column in 1 2; do
	awk -v c=$column '{ print $c / $(c + 2) }' "$VM_DIR/pairs" | median >"$VM_DIR/ratio"
	printf '%-22s %7.3f %7.3f %6.3f\n' "$([ $column = 1 ] && echo 'process, in the guest' || echo 'vCPU, on the host')" \
		"$(awk -v c=$column '{ print $c }' "$VM_DIR/pairs" | median)" \
		"$(awk -v c=$column '{ print $(c + 2) }' "$VM_DIR/pairs" | median)" "$(cat "$VM_DIR/ratio")"
done
echo "one of 4 KiB, in the guest: microseconds, and times those of a file that is created, written and renamed"
vm_run bench '/publish_bench /mnt/memnet/out' | awk '{ printf "%-22s %7d %14.2f\n", $1, $2, $3 }'
