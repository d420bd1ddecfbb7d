#!/usr/bin/env bats
# shellcheck disable=SC1091,SC2016 # sourced by a variable path; the guest expands
# memnet tune with two real guests under one budget: both compress into their spaces, one stream drains both.

bats_require_minimum_version 1.5.0

load ../until.bash
export UNTIL_S=120

setup_file()
{
	load vm.sh
	vm_setup_memnet
	head -c 6000000 /dev/urandom >"$VM_DIR/input"
	vm_add "$VM_DIR/input" /input
	for vm in web1 web2; do
		vm_start_memnet $vm
	done
	for vm in web1 web2; do
		vm_wait_boot $vm
		vm_host "$MEMNET" share create $vm/out --size 8M
		vm_run $vm 'memnet share mount'
	done
}

teardown_file()
{
	load vm.sh
	vm_teardown
}

setup()
{
	load vm.sh
	PIDS=()
}

teardown()
{
	for pid in "${PIDS[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
	done
}

begin()
{
	"${VM_ENTER[@]}" setpriv --pdeathsig KILL "$@" 3>&- &
	PID=$!
	PIDS+=("$PID")
}

saw()
{
	jq -e -n "[inputs | select($1)] | length > 0" "$VM_DIR/log" >/dev/null
}

figure()
{
	vm_host curl -s http://127.0.0.1:9102/metrics | grep -q "^memnet_tune_$1"
}

job_done()
{
	[ -e "$VM_DIR/$1.done" ]
}

@test "two guests, one budget: both finish, the sizes' sum stays within it, and their vCPUs are seen" {
	begin "$MEMNET" stream --listen http://127.0.0.1:8080 --metrics 127.0.0.1:9101 --release delivered web1/out web2/out 2>"$VM_DIR/stream"
	until_true grep -q 'listening on' "$VM_DIR/stream"
	begin "$MEMNET" tune -j --interval 500ms --set guard=100ms --budget 64M --stream 127.0.0.1:9101 \
		--metrics 127.0.0.1:9102 web1/out,min=4M web2/out,min=4M >"$VM_DIR/log" 2>"$VM_DIR/err"
	local tune=$PID vm n
	until_true saw '.why != ""'
	# What the two write together is more than the budget holds: only the drain lets them finish.
	for vm in web1 web2; do
		{
			vm_run $vm 'cd /mnt/memnet/out && for n in 1 2 3 4 5 6 7 8; do memnet compress -q --fast=9 --to . -o $n /input || exit; done'
			: >"$VM_DIR/$vm.done"
		} >"$VM_DIR/$vm.log" 2>&1 3>&- &
	done
	for n in 1 2 3 4 5 6 7 8; do
		for vm in web1 web2; do
			until_true vm_host curl -sf -o "$VM_DIR/got" "http://127.0.0.1:8080/$vm/out/$n"
			zstd -dc "$VM_DIR/got" | cmp - "$VM_DIR/input"
		done
	done
	until_true job_done web1
	until_true job_done web2
	until_true saw '.space == "web1/out" and .guest == "ok" and .p95_s > 0'
	until_true saw '.space == "web2/out" and .guest == "ok" and .p95_s > 0'
	until_true saw '.size_bytes > .from_bytes'
	until_true figure 'vm_vcpus{vm="web1"} 1'
	until_true figure 'vm_cpu_seconds_total{vm="web2"} [0-9.]*[1-9]'
	# Each VM's energy, by its QEMU's threads, and by what they made.
	until_true figure 'vm_energy_joules_total{vm="web1",source="[a-z]*"} [0-9.]*[1-9]'
	until_true saw '.space == "web2/out" and .energy.joules > 0 and .energy.estimated and .energy.joules_per_job > 0 and .energy.joules_per_gigabyte > 0'
	# After every look: its decisions are told together, in the order of the spaces.
	jq -e -s '[foreach ([., .[1:] + [{time: infinite}]] | transpose[]) as [$d, $next] ({}; .[$d.space] = $d.size_bytes;
		if $next.time - $d.time > 0.05 then [.[]] | add else 0 end)] | max <= 67108864' "$VM_DIR/log"
	# The guests read what the host tells them.
	vm_run web1 'cat /mnt/memnet/out/.memnet/pace' | jq -e '.schema == 1 and .serial > 0'
	kill -TERM "$tune"
	wait "$tune"
	PIDS=("${PIDS[0]}")
}
