# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034,SC2054,SC2317 # the settings are memnet-bench's
# The VM: one, with a TAP, memnet's port, and the folders that its peers share with it. Its kernel is Debian's or the
# host's own, its userland busybox, memnet, and nginx and ffmpeg of this host with their libraries (vm.sh has the rest).

vm=vm
guest_ip=10.77.0.2
host_modules=/lib/modules

boot() {
	local args=()

	say "booting the VM"
	if [ -n "$kernel" ] || ! [ -d "${MEMNET_GUEST:-}/linux/boot" ]; then
		guest_of_host
	fi
	VM_MEM=2G VM_CHANNELS=8 VM_DEADLINE=$((job_s * 20 + 600))
	# shellcheck disable=SC1090 # tests/guest/vm.sh of the tree
	source "$vm_sh"
	VM_MODULES+=(virtiofs)
	[ -z "$tcg" ] || vm_accel() { echo tcg; }
	vm_setup "$work/vm" || exit 1
	gather_tools
	shared_folders
	enter_cgroup
	vm_start_memnet "$vm" "${args[@]}" || exit 1
	vm_wait_boot "$vm" || exit 1
	pin_vm
	guest_setup || die "the guest cannot be set up: $(tail -n 5 "$VM_DIR/vm/$vm/console.log")"
}

# QEMU is in the cgroup from its first moment: so is the kernel's thread of vhost, which before Linux 6.4 is no thread of
# QEMU's but joins the cgroups that QEMU is in when it asks for it. And it is not moved later, which before Linux 6.2
# undoes the pinning.
enter_cgroup() {
	# shellcheck disable=SC2016 # for the inner shell
	[ -z "$cgroup" ] || VM_ENTER=(sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup")
}

# The kernel that was named, or this host's own, laid out as vm.sh wants it.
guest_of_host() {
	local release

	: "${kernel:=/boot/vmlinuz-$(uname -r)}"
	release=${kernel##*/vmlinuz-}
	[ -f "$kernel" ] || die "no kernel $kernel for the guest (name one with --kernel)"
	[ -d "$host_modules/$release" ] || die "no modules in $host_modules/$release (install the kernel's package)"
	MEMNET_GUEST=$work/guest
	mkdir -p "$MEMNET_GUEST/linux/boot" "$MEMNET_GUEST/linux/lib/modules"
	ln -s "$(readlink -f "$kernel")" "$MEMNET_GUEST/linux/boot/vmlinuz-$release"
	ln -s "$host_modules/$release" "$MEMNET_GUEST/linux/lib/modules/$release"
}

# Programs with their libraries, read by the guest once: they are too much for an initramfs.
gather_tools() {
	local program library programs=("$nginx")

	[[ ,$only, != *,transcode,* ]] || programs+=("$(command -v ffmpeg)")
	mkdir -p "$work/tools/bin"
	for program in "${programs[@]}"; do
		cp -L "$program" "$work/tools/bin/"
		for library in $(ldd "$program" | grep -o '/[^ ]*'); do
			[ -f "$work/tools$library" ] || install -D "$library" "$work/tools$library"
		done
	done
}

# Adds to args: the TAP, the tools, and what plain 9p and virtiofs export.
shared_folders() {
	mkdir -p "$work/p9" "$work/vfs"
	args=(-netdev "tap,id=net,ifname=tap0,script=no,downscript=no,vhost=$vhost" -device virtio-net-pci,netdev=net
		-fsdev "local,id=tools,path=$work/tools,security_model=none,readonly=on"
		-device virtio-9p-pci,fsdev=tools,mount_tag=tools
		-fsdev "local,id=p9,path=$work/p9,security_model=mapped-xattr"
		-device virtio-9p-pci,fsdev=p9,mount_tag=p9)
	[ -n "$virtiofsd" ] || return
	start_virtiofsd
	args+=(-object "memory-backend-memfd,id=ram,size=$VM_MEM,share=on" -numa node,memdev=ram
		-chardev "socket,id=vfs,path=$work/vfs.sock" -device vhost-user-fs-pci,chardev=vfs,tag=vfs)
}

# QEMU's and the one written in Rust share these options.
start_virtiofsd() {
	case $("$virtiofsd" --help 2>&1) in
	*--shared-dir*) "$virtiofsd" --socket-path "$work/vfs.sock" --shared-dir "$work/vfs" --sandbox chroot >"$work/virtiofsd.log" 2>&1 & ;;
	*) "$virtiofsd" --socket-path="$work/vfs.sock" -o "source=$work/vfs" -o sandbox=chroot >"$work/virtiofsd.log" 2>&1 & ;;
	esac
	virtiofsd_pid=$!
	await "virtiofsd" [ -S "$work/vfs.sock" ]
}

# The vCPU on its CPU. QEMU's other threads go where there is time, as they do on any host: kept among the clients, they
# would make the guest's network slower than anybody's.
pin_vm() {
	local task comm

	vm_process=$(vm_pid "$vm")
	taskset -acp "$all_cpus" "$vm_process" >/dev/null || die "cannot let QEMU run on CPU $all_cpus"
	for task in /proc/"$vm_process"/task/*; do
		read -r comm <"$task/comm" || continue
		[[ $comm != CPU\ [0-9]* ]] || taskset -cp "$vm_cpu_id" "${task##*/}" >/dev/null || die "cannot pin the vCPU to CPU $vm_cpu_id"
	done
}

guest() {
	vm_run "$vm" "$@"
}

guest_network() {
	guest "ip address add $guest_ip/24 dev eth0 && ip link set eth0 up && ip route add default via 10.77.0.1"
}

# Taken from its driver and given back: the card is reset on QEMU's side, too, which "ip link" does not do.
guest_network_anew() {
	guest 'card=$(basename "$(readlink -f /sys/class/net/eth0/device)") && cd /sys/bus/virtio/drivers/virtio_net &&
		echo "$card" >unbind && echo "$card" >bind' && guest_network
}

guest_setup() {
	guest_network || return
	guest "mkdir -p /mnt/tools /mnt/p9 /mnt/vfs /srv/www/out /in &&
		mount -t tmpfs -o size=90% in /in && mount -t tmpfs -o size=90% srv /srv && mkdir -p /srv/www/out &&
		mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,ro tools /mnt/tools &&
		cp -a /mnt/tools/. / && umount /mnt/tools &&
		mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 p9 /mnt/p9 &&
		echo root:x:0:0::/:/bin/sh >/etc/passwd && echo nobody:x:65534:65534::/:/bin/false >>/etc/passwd &&
		echo root:x:0: >/etc/group && echo nogroup:x:65534: >>/etc/group" || return
	[ -z "$virtiofsd" ] || guest 'mount -t virtiofs vfs /mnt/vfs'
}
