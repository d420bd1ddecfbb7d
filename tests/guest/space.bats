#!/usr/bin/env bats
# A space, as host and guest see it: its size, its files, its growing and shrinking, and what outlives the guest.

bats_require_minimum_version 1.5.0

load ../until.bash

setup_file() {
	load vm.sh
	vm_setup_memnet
	vm_start_memnet web
	VM_MACHINE=pc vm_start_memnet old
	vm_wait_boot web
	vm_wait_boot old
	share create web/out --size 16M
	vm_run web 'memnet share mount'
}

teardown_file() {
	load vm.sh
	vm_teardown
}

setup() {
	load vm.sh
	space=$MEMNET_RUNTIME_DIR/web/out
}

share() {
	vm_host "$MEMNET" share "$@"
}

# guest_sees VM SPACE MB: statfs in the guest counts in the 9p transport's blocks of 507904 bytes, rounding down.
guest_sees() {
	local size=$(($3 * 1024 * 1024)) seen

	seen=$(vm_run "$1" "stat -f -c '%b * %S' /mnt/memnet/$2")
	[ "$((seen))" -le "$size" ] && [ "$((seen))" -gt "$((size - 507904))" ]
}

# The space's size as the host's kernel has it, in bytes; nothing if it is not mounted.
host_size() {
	vm_host sh -c "! mountpoint -q '$1' || stat -f -c '%b %S' '$1'" | awk '{ print $1 * $2 }'
}

mounts_of() {
	vm_host grep -c " $MEMNET_RUNTIME_DIR/$1[/ ]" /proc/self/mounts || true
}

# A test that failed shall not make those after it fail.
fresh_space() {
	vm_run web 'rm -rf /mnt/memnet/out/*'
	share resize web/out 16M
}

@test "the guest sees the space with its own size" {
	fresh_space
	guest_sees web out 16
}

@test "each side reads what the other wrote" {
	fresh_space
	vm_run web 'head -c 300000 /dev/urandom >/mnt/memnet/out/from-guest'
	[ "$(vm_run web 'cat /mnt/memnet/out/from-guest' | sha256sum)" = "$(vm_host cat "$space/from-guest" | sha256sum)" ]
	vm_host sh -c "echo hello >'$space/from-host'"
	[ "$(vm_run web 'cat /mnt/memnet/out/from-host')" = hello ]
}

@test "another space is there without another mount, and gone again" {
	share create web/more --size 4M
	guest_sees web more 4
	share destroy web/more
	run ! vm_run web 'test -e /mnt/memnet/more'
	[ -z "$(host_size "$MEMNET_RUNTIME_DIR/web/more")" ]
}

@test "a VM of the pc machine type has spaces too" {
	share create old/out --size 4M
	vm_run old 'memnet share mount'
	guest_sees old out 4
	# They are two VMs' spaces, not one.
	vm_run old 'echo old >/mnt/memnet/out/mark'
	run ! vm_run web 'test -e /mnt/memnet/out/mark'
	share destroy old/out --force
}

@test "the guest cannot write more than fits, and is told so exactly" {
	fresh_space
	run vm_run web 'dd if=/dev/zero of=/mnt/memnet/out/big bs=1M count=20 2>&1'
	[ "$status" != 0 ]
	[[ $output = *"No space left on device"* ]]
	[ "$(vm_run web 'stat -c %s /mnt/memnet/out/big')" -le $((16 * 1024 * 1024)) ]
}

@test "a job waits in a full space, and goes on when the space grows" {
	fresh_space
	share resize web/out 8M
	vm_run web 'head -c 12000000 /dev/urandom >/tmp/random'
	vm_run web 'memnet compress --fast=1 --to /mnt/memnet/out -o grown.zst /tmp/random' 3>&- &
	job=$!
	until_true space_is_full
	kill -0 "$job"
	run ! vm_run web 'test -e /mnt/memnet/out/grown.zst'	# published whole or not at all
	share resize web/out 16M
	wait "$job"
	guest_sees web out 16
	[ "$(vm_host cat "$space/grown.zst" | zstd -dc | sha256sum)" = "$(vm_run web 'cat /tmp/random' | sha256sum)" ]
	vm_run web 'rm /tmp/random'
}

space_is_full() {
	[ "$(vm_host stat -f -c '%f' "$space")" -le 256 ]	# less than a piece of 1 MB
}

@test "shrinking below use is refused with 7 and changes nothing" {
	fresh_space
	vm_run web 'head -c 9000000 /dev/urandom >/mnt/memnet/out/kept'
	sum=$(vm_run web 'sha256sum </mnt/memnet/out/kept')
	run -7 share resize web/out 4M
	[[ $output = "memnet share resize: web/out: "* ]]
	guest_sees web out 16
	[ "$(vm_run web 'sha256sum </mnt/memnet/out/kept')" = "$sum" ]
}

@test "shrinking to what still holds it is seen by the guest at once" {
	fresh_space
	share resize web/out 12M
	guest_sees web out 12
	share resize web/out +4M
	guest_sees web out 16
}

@test "a space with an object in it is not destroyed unless forced" {
	fresh_space
	vm_run web 'echo object >/mnt/memnet/out/object'
	run -7 share destroy web/out
	[ "$(vm_run web 'cat /mnt/memnet/out/object')" = object ]
}

@test "a guest that reboots finds its space again, with what was in it" {
	fresh_space
	vm_run web 'echo before >/mnt/memnet/out/object; sync'
	vm_reboot web
	vm_run web 'memnet share mount'
	[ "$(vm_run web 'cat /mnt/memnet/out/object')" = before ]
	vm_run web 'echo after >/mnt/memnet/out/object'
	[ "$(vm_host cat "$space/object")" = after ]
}

@test "after a killed VM its space can be destroyed, and no mount is left" {
	vm_kill old
	vm_run web 'echo object >/mnt/memnet/out/object'
	vm_kill web
	share destroy web/out --force
	[ "$(mounts_of web)" = 0 ]
	run ! vm_host test -e "$MEMNET_RUNTIME_DIR/web"
}

@test "a VM started anew under the same name gets spaces as the first did" {
	vm_start_memnet web
	vm_wait_boot web
	share create web/out --size 8M
	vm_run web 'memnet share mount'
	guest_sees web out 8
	run ! vm_run web 'test -e /mnt/memnet/out/object'
	vm_stop web
	share destroy web/out --force
	[ "$(mounts_of web)" = 0 ]
}
