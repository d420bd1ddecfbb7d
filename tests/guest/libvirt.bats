#!/usr/bin/env bats
# shellcheck disable=SC1091,SC2016 # sourced by a variable path; an inner shell expands
# memnet share for domains of a real libvirtd, whose monitor only libvirt reaches.

bats_require_minimum_version 1.5.0

load ../until.bash

# Asked by every test: Debian 12's bats takes a skip in setup_file for a failure.
can_run()
{
	[ "$(id -u)" = 0 ] && type libvirtd virsh virt-xml-validate >/dev/null 2>&1
}

setup_file()
{
	can_run || return 0
	source "$BATS_TEST_DIRNAME/vm.sh"
	vm_setup
	vm_host_open
	vm_pack "$VM_DIR/initrd"
	export MEMNET_RUNTIME_DIR=$VM_DIR/run LIBVIRT_DEFAULT_URI=qemu:///system
	private_libvirt
}

teardown_file()
{
	can_run && [ -n "${VM_HOST_PID:-}" ] || return 0
	source "$BATS_TEST_DIRNAME/vm.sh"
	for machine in q35 pc; do
		vm_host virsh destroy "web-$machine" || true
	done
	kill "$(cat "$VM_DIR/libvirtd.pid")"
	vm_wait_gone "$(cat "$VM_DIR/libvirtd.pid")" 10
	vm_teardown
}

setup()
{
	can_run || skip "not root, or no libvirt (libvirt-daemon, libvirt-clients)"
	source "$BATS_TEST_DIRNAME/vm.sh"
}

# A libvirtd whose files, users and sockets are all in the namespace.
private_libvirt()
{
	vm_host sh -c '
		for dir in /run/libvirt /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
			mkdir -p "$dir" && mount -t tmpfs libvirt "$dir"
		done
		printf "%s\n" "user=\"root\"" "group=\"root\"" "security_driver=\"none\"" "namespaces=[]" \
			"cgroup_controllers=[]" "stdio_handler=\"file\"" >/etc/libvirt/qemu.conf
		cp /etc/passwd /etc/group "$1"
		echo "libvirt-qemu:x:64055:64055::/:/bin/false" >>"$1/passwd"
		printf "%s\n" libvirt-qemu:x:64055: kvm:x:64056: libvirt:x:64057: >>"$1/group"
		mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group' sh "$VM_DIR"
	"${VM_ENTER[@]}" setpriv --pdeathsig KILL libvirtd </dev/null >"$VM_DIR/libvirtd.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- &
	echo $! >"$VM_DIR/libvirtd.pid"
	disown $!
	ERR=$VM_DIR/libvirtd.log until_true answers
}

answers()
{
	vm_host virsh list >/dev/null 2>&1
}

domain()
{
	cat <<END
<domain type='qemu'>
  <name>web-$1</name>
  <memory unit='MiB'>256</memory>
  <os>
    <type arch='x86_64' machine='$1'>hvm</type>
    <kernel>$VM_KERNEL</kernel><initrd>$VM_DIR/initrd</initrd>
    <cmdline>console=ttyS0 no_timer_check</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>$(command -v qemu-system-x86_64)</emulator>
    <serial type='file'><source path='$VM_DIR/$1.log'/></serial>
  </devices>
$(vm_host "$MEMNET" share qemu-args "web-$1" --libvirt --machine "$1")
</domain>
END
}

# The whole life of a space of one domain; qmp says how its monitor is reached.
life()
{
	local vm=web-$1 qmp=(--qmp "exec:virsh qemu-monitor-command web-$1")

	domain "$1" >"$VM_DIR/$vm.xml"
	vm_host virt-xml-validate "$VM_DIR/$vm.xml" domain
	vm_host virsh define "$VM_DIR/$vm.xml"
	vm_host virsh start "$vm"
	until_true grep -q 'init: up' "$VM_DIR/$1.log"
	vm_host "$MEMNET" share create "$vm/out" --size 4M "${qmp[@]}"
	vm_host "$MEMNET" share attach "$vm" "${qmp[@]}" --wait 120s
	[ "$(vm_host "$MEMNET" share show --wait 120s -j "$vm/out" "${qmp[@]}" | jq -r .guest)" = ready ]
	vm_host "$MEMNET" share check "$vm" "${qmp[@]}"
	vm_host "$MEMNET" share resize "$vm/out" 8M
	vm_host "$MEMNET" share detach "$vm" "${qmp[@]}" --wait 120s
	vm_host "$MEMNET" share destroy "$vm/out"
}

@test "a q35 domain" {
	life q35
}

@test "a pc domain" {
	life pc
}

@test "a domain that does not run: libvirt's own words" {
	run vm_host "$MEMNET" share create web-none/out --size 1M --qmp "exec:virsh qemu-monitor-command web-none"
	[ "$status" = 1 ]
	[[ $output == *"web-none: QEMU gave no answer: error: failed to get domain 'web-none'"* ]]
}
