#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test has its own variables
# The guest harness itself: what the other guest tests and the demo take for granted.

bats_require_minimum_version 1.5.0

load ../until.bash

setup_file() {
	load vm.sh
	vm_setup
	vm_host_open
	printf 'first\nsecond\n' >"$VM_DIR/extra"
	vm_add "$VM_DIR/extra" /etc/extra
	vm_start a
	VM_MACHINE=pc VM_CPUS=2 vm_start b
	vm_wait_boot a
	vm_wait_boot b
}

teardown_file() {
	load vm.sh
	vm_teardown
}

setup() {
	load vm.sh
}

@test "a command's output and errors come back apart, with its exit status" {
	run vm_run a 'echo out; echo err >&2; exit 3'
	[ "$status" = 3 ]
	[ "$(vm_run a 'echo out; echo err >&2' 2>"$BATS_TEST_TMPDIR/err")" = out ]
	[ "$(cat "$BATS_TEST_TMPDIR/err")" = err ]
}

@test "binary output arrives unchanged" {
	vm_run a 'head -c 3000000 /dev/urandom >/tmp/random'
	sum=$(vm_run a 'sha256sum </tmp/random')
	[ "$(vm_run a 'cat /tmp/random' | sha256sum)" = "$sum" ]
}

@test "a command may have quotes, dollars and many lines" {
	text=$'it\'s "quoted" $HOME \\n\nsecond line'
	[ "$(vm_run a "cat <<'END'
$text
END")" = "$text" ]
}

@test "files go in, into the initramfs and into the running guest" {
	[ "$(vm_run a 'cat /etc/extra')" = $'first\nsecond' ]
	head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/in"
	vm_put a "$BATS_TEST_TMPDIR/in" /tmp/in
	[ "$(vm_run a 'cat /tmp/in' | sha256sum)" = "$(sha256sum <"$BATS_TEST_TMPDIR/in")" ]
}

@test "the guest has our memnet, the same file" {
	[ "$(vm_run a 'sha256sum </bin/memnet')" = "$(sha256sum <"$MEMNET")" ]
}

@test "commands run at the same time, and more than there are channels all run" {
	# Each waits for the other: run one after the other they would never end.
	vm_run a 'mkfifo /tmp/ping; cat /tmp/ping' >"$BATS_TEST_TMPDIR/heard" 3>&- &
	reader=$!
	vm_run a 'until [ -p /tmp/ping ]; do usleep 10000; done; echo hello >/tmp/ping'
	wait "$reader"
	[ "$(cat "$BATS_TEST_TMPDIR/heard")" = hello ]

	for i in 1 2 3 4 5 6 7 8 9; do
		vm_run a "echo $i" >"$BATS_TEST_TMPDIR/out$i" 3>&- &
	done
	wait
	[ "$(cat "$BATS_TEST_TMPDIR"/out? | sort | tr -d '\n')" = 123456789 ]
}

@test "a command that does not end is given up on, and its channel does not confuse the next" {
	VM_DEADLINE=1 run vm_run a 'sleep 5; echo late'
	[ "$status" = 124 ]
	for i in 1 2 3 4 5; do
		[ "$(vm_run a "echo $i")" = "$i" ]
	done
}

@test "two VMs at once, q35 and pc, one and two vCPUs" {
	[ "$(vm_run a nproc)" = 1 ]
	[ "$(vm_run b nproc)" = 2 ]
	[ "$(vm_run a 'cat /proc/sys/kernel/random/boot_id')" != "$(vm_run b 'cat /proc/sys/kernel/random/boot_id')" ]
	vm_run a 'grep -q . /sys/bus/pci/devices/0000:00:1f.0/vendor'	# q35's ICH9
	run ! vm_run b 'test -e /sys/bus/pci/devices/0000:00:1f.0'
}

@test "CPU time is that of the guest's work" {
	began=$EPOCHREALTIME
	read -r before _ < <(vm_cpu b)
	vm_run b 'until [ -e /tmp/enough ]; do :; done' 3>&- &
	job=$!
	until_true used_more_than 0.3
	vm_run b 'touch /tmp/enough'
	wait "$job"
	read -r after _ < <(vm_cpu b)
	# Its two vCPUs have had no more than there was.
	awk -v used="$after" -v before="$before" -v now="$EPOCHREALTIME" -v began="$began" 'BEGIN { exit !(used - before <= 2 * (now - began)) }'
	[ "$(vm_cpu b | wc -w)" = 2 ]
}

used_more_than() {
	read -r after _ < <(vm_cpu b)
	awk -v used="$after" -v before="$before" -v wanted="$1" 'BEGIN { exit !(used - before > wanted) }'
}

@test "the host side's mounts are out of the machine's sight" {
	mkdir "$VM_DIR/mnt"
	vm_host mount -t tmpfs none "$VM_DIR/mnt"
	vm_host mountpoint -q "$VM_DIR/mnt"
	run ! mountpoint -q "$VM_DIR/mnt"
	vm_host umount "$VM_DIR/mnt"
}

@test "a reboot gives a new boot in the same QEMU" {
	pid=$(vm_pid b)
	boot=$(vm_run b 'cat /proc/sys/kernel/random/boot_id; touch /tmp/mark')
	vm_reboot b
	[ "$(vm_pid b)" = "$pid" ]
	[ "$(vm_run b 'cat /proc/sys/kernel/random/boot_id')" != "$boot" ]
	run ! vm_run b 'test -e /tmp/mark'
}

@test "stopped and killed VMs leave no process, and say that they are gone" {
	a=$(vm_pid a) b=$(vm_pid b)
	vm_stop a
	vm_kill b
	run ! vm_pid_alive "$a"
	run ! vm_pid_alive "$b"
	run vm_run a true
	[ "$status" = 125 ]
}

@test "a VM dies with the shell that started it" {
	pid=$(bash -c 'source "$0"; vm_start c; vm_wait_boot c; cat "$VM_DIR/vm/c/pid"' "$BATS_TEST_DIRNAME/vm.sh" 3>&-)
	[ "$pid" -gt 1 ]
	vm_wait_gone "$pid"
}
