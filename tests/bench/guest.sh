#!/bin/bash
# shellcheck disable=SC1091 # sourced by a variable path
# What compress costs a guest: into the 9p space against /dev/null, at level 3, input in the guest's RAM. CPU time of the
# process as the guest counts it, and of the vCPU thread as the host does, in pairs whose order alternates; messages of 9p
# for that and for an empty object; microseconds of one publish and of one record against a plain file's; the vCPU's share
# of a CPU, and messages of 9p, while a job waits in a full space. Where there is no KVM the guest is emulated, and only
# the ratios say something.
#
#	tests/bench/guest.sh [PAIRS] [MB] [SECONDS]      7 pairs of 64 MB, waits of 20 s
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/guest/vm.sh
source "$here/../guest/vm.sh"
pairs=${1:-7} megabytes=${2:-64} seconds=${3:-20}
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
vm_host "$MEMNET" share create bench/out --size "$((megabytes + 8))M"
vm_run bench 'memnet share mount; mount -t tracefs tracefs /sys/kernel/tracing'
events=/sys/kernel/tracing/events/9p/9p_client_req

# once WORDS…: "SECONDS-IN-GUEST VCPU-SECONDS" of a compress with these words
once() {
	local before after process

	read -r before _ < <(vm_cpu bench)
	process=$(vm_run bench "time -o /took -f '%U %S' memnet compress -q3 $*; cat /took; rm -f /mnt/memnet/out/x")
	read -r after _ < <(vm_cpu bench)
	awk -v b="$before" -v a="$after" '{ printf "%.3f %.3f\n", $1 + $2, a - b }' <<<"$process"
}

# part COLUMN Q: the value in that column of the ratios below which a part Q of them lies; 0: the least.
part() {
	awk -v c="$1" '{ print $c }' "$VM_DIR/ratios" | sort -n |
		awk -v q="$2" '{ v[NR] = $1 } END { print v[1 + int((NR - 1) * q + .5)] }'
}

# messages COMMAND: those of 9p while the guest runs it: in all, writes, and asking for a file's or the space's state.
messages() {
	vm_run bench "cd $events && echo hist:keys=type >trigger && { $1; } && cat hist; echo '!hist:keys=type' >trigger" |
		awk '/type:/ && /hitcount:/ { n[$3] = $NF; all += $NF }
			END { printf "%6d %6d %6d\n", all, n[118], n[24] + n[8] }'
}

# wait_costs WHAT [COMMAND]: what the vCPU and 9p have to do while that command waits.
wait_costs() {
	local before after began

	vm_run bench "${2:-true} & echo \$! >/job; sleep 3"
	began=$EPOCHREALTIME
	read -r before _ < <(vm_cpu bench)
	messages "sleep $seconds" >"$VM_DIR/messages"
	read -r after _ < <(vm_cpu bench)
	awk -v w="$1" -v b="$before" -v a="$after" -v t="$began $EPOCHREALTIME" -v s="$seconds" '{
		split(t, at, " "); printf "%-22s %6.2f %% %7.1f %7.1f %7.1f\n", w, 100 * (a - b) / (at[2] - at[1]), $1 / s, $2 / s, $3 / s
	}' "$VM_DIR/messages"
	# shellcheck disable=SC2016 # the guest's
	vm_run bench 'kill "$(cat /job)"; sleep 1; rm -f /mnt/memnet/out/full' 2>/dev/null
}

once -c /input '>/dev/null' >"$VM_DIR/first"	# the emulator's own first time
once --to /mnt/memnet/out -o x /input >"$VM_DIR/first"
for ((i = 0; i < pairs; i++)); do
	if ((i % 2)); then
		null=$(once -c /input '>/dev/null') space=$(once --to /mnt/memnet/out -o x /input)
	else
		space=$(once --to /mnt/memnet/out -o x /input) null=$(once -c /input '>/dev/null')
	fi
	echo "$space $null"
done >"$VM_DIR/pairs"
echo "$pairs pairs of $megabytes MB, level 3, $VM_ACCEL: seconds into the space, to /dev/null; of the ratios the median and the" \
	"middle half; the ratio of the least"
for column in 1 2; do
	awk -v c=$column '{ print $c / $(c + 2), $c, $(c + 2) }' "$VM_DIR/pairs" >"$VM_DIR/ratios"
	printf '%-22s %7.3f %7.3f %6.3f %6.3f-%.3f %6.3f\n' \
		"$([ $column = 1 ] && echo 'process, in the guest' || echo 'vCPU, on the host')" "$(part 2 .5)" "$(part 3 .5)" \
		"$(part 1 .5)" "$(part 1 .25)" "$(part 1 .75)" "$(awk -v a="$(part 2 0)" -v b="$(part 3 0)" 'BEGIN { print a / b }')"
done
echo "one of 4 KiB, in the guest: microseconds, and times those of a file that is created, written and renamed"
vm_run bench '/publish_bench /mnt/memnet/out' | awk '{ printf "%-22s %7d %14.2f\n", $1, $2, $3 }'
echo "messages of 9p: in all, writes, asking for a state"
printf '%-22s %s\n' "$megabytes MB" "$(messages 'memnet compress -q3 --to /mnt/memnet/out -o x /input')" \
	'an empty object' "$(messages ': >/empty; memnet compress -q3 --to /mnt/memnet/out -o e /empty')"
vm_run bench 'rm /mnt/memnet/out/?; head -c 6000000 /dev/urandom >/random'
vm_host "$MEMNET" share resize bench/out 3M
echo "waits of $seconds s, the guest's first 3 s not counted: vCPU, and a second's messages of 9p: in all, writes, asking"
job='memnet compress -q --fast=1 -o full --to /mnt/memnet/out /random'
wait_costs 'nobody'
wait_costs 'a job' "$job 2>/dev/null"
wait_costs 'a job, --live' "$job --live 2>/dev/null"
