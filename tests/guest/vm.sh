#!/bin/bash
# shellcheck disable=SC2030,SC2031 # vm_run is a subshell on purpose; its helpers share that subshell's variables
# Real QEMU guests for the tests and the demo, to be sourced: build an initramfs, boot it, run commands in it.
#
# Theory of operation
#
# A guest is Debian's kernel with a busybox initramfs and no disk. Commands reach it through VM_CHANNELS virtio-serial
# ports; each port is a pair of FIFOs on the host (`-chardev pipe`) and a loop in the guest (the agent below) that
# reads one request, runs it and answers. QEMU holds both ends of the FIFOs open, and hands nothing to a port that the
# guest has not opened yet: a request written before the guest has booted is simply answered when it has, so booting
# is waited for by running `true`. A channel serves one caller at a time (flock); a caller that dies or times out
# leaves its channel marked busy, and the others go on with the remaining ones.
#
#   request   ID BASE64(command)\n
#   answer    ID STATUS OUT ERR\n, then OUT bytes of standard output and ERR bytes of standard error
#
# A VM is the child of the shell that called vm_start and is killed with it (PR_SET_PDEATHSIG): call vm_start from the
# shell that shall own the VM, in bats from setup_file and never under `run`.
#
#   vm_setup [DIR]              once per process: the run folder, the kernel, the accelerator
#   vm_setup_memnet [DIR]       the same, and vm_host_open, and memnet's run-time folder and configuration in it
#   vm_add FILE [GUESTPATH]     put a file into the next guests' initramfs
#   vm_add_program FILE         the same with the shared libraries it needs
#   vm_add_modules NAME…        more kernel modules, loaded at boot
#                               /lib/systemd/systemd, if it is put there, is what the first process becomes
#   vm_tools PROGRAM…           programs too large for an initramfs, into a folder that guests mount: see vm_mount_tools
#   vm_start NAME [QEMU-ARG…]   boot; returns at once
#   vm_start_memnet NAME [QEMU-ARG…]  the same with what `memnet share qemu-args NAME` asks for
#   vm_run_as USER              arguments with which QEMU runs as that user
#   vm_wait_boot NAME           until the guest runs commands
#   vm_run NAME COMMAND         run it with the guest's sh: its output, its exit status; 124 on deadline, 125 no VM
#   vm_mount_tools NAME         mount them; started with `vm_start_memnet NAME $(vm_tools_args)`, it runs /tools/PROGRAM
#   vm_put NAME FILE GUESTPATH  copy a small file into a running guest
#   vm_reboot NAME              reboot the guest inside the same QEMU, until it runs commands again
#   vm_stop NAME, vm_kill NAME  power off; pull the plug. Both return when the process is gone
#   vm_alive NAME, vm_pid NAME
#   vm_cpu NAME                 "VCPU OTHER": CPU seconds of the vCPU threads, and of all else in the QEMU process
#   vm_host COMMAND…            run on the host side, inside the namespace of vm_host_open if there is one
#   vm_host_open                a private mount and network namespace (and user namespace, if not root) for the host side
#   vm_teardown                 stop everything, remove the run folder; keeps it if VM_KEEP is set
#
# Set before vm_start if the defaults do not fit: VM_MACHINE (q35, pc), VM_CPUS, VM_MEM, VM_DEADLINE (seconds, also
# per call: `VM_DEADLINE=5 vm_run …`), VM_PROGRAMS (host programs that every guest gets, say `strace`).
#
# An emulated guest has a process that wakes twenty times a second. QEMU's emulator gives its TLB another size only when
# the guest changes address spaces: a job that runs by itself would keep the one that was left behind, and the same job
# took from 0.55 to 4.3 s of the vCPU by what had run before it. With the process it takes 0.6 to 0.85 s.

: "${MEMNET_SRC:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
: "${MEMNET:=$MEMNET_SRC/build/memnet}"
: "${MEMNET_GUEST:=$MEMNET_SRC/build/guest}"
: "${VM_MACHINE:=q35}" "${VM_CPUS:=1}" "${VM_MEM:=512M}" "${VM_DEADLINE:=240}" "${VM_CHANNELS:=4}"

VM_MODULES=(virtio_pci virtio_console virtio_net 9pnet_virtio 9p)
[ "${VM_ENTER+set}" ] || VM_ENTER=()

vm_die() {
	echo "vm: $*" >&2
	return 1
}

# --- the run folder, the kernel, the accelerator ---------------------------------------------------------------------

# /dev/kvm can be there on a host without VMX or SVM, and a guest then hangs: look at the CPU too.
vm_accel() {
	if [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
		echo kvm
	else
		echo tcg
	fi
}

vm_setup() {
	local kernels=("$MEMNET_GUEST"/linux/boot/vmlinuz-*)

	[ -f "${kernels[0]}" ] || { vm_die "no kernel in $MEMNET_GUEST/linux (./build.sh test fetches it)"; return; }
	[ -x "$MEMNET" ] || { vm_die "no $MEMNET (run ./build.sh)"; return; }
	VM_ACCEL=$(vm_accel)
	if [ $# -gt 0 ]; then
		VM_DIR=$1
		mkdir -p "$VM_DIR"
	else
		VM_DIR=$(mktemp -d "${TMPDIR:-/tmp}/memnet-vm.XXXXXX")
	fi
	VM_KERNEL=$(vm_kernel "${kernels[0]}")
	export VM_DIR VM_KERNEL VM_ACCEL
	vm_root_build
}

vm_setup_memnet() {
	vm_setup "$@" || return
	vm_host_open || return
	export MEMNET_RUNTIME_DIR=$VM_DIR/run MEMNET_CONF=$VM_DIR/memnet.conf
	: >"$MEMNET_CONF"
}

# The ELF kernel inside vmlinuz: QEMU starts it directly (PVH), which under TCG saves the 2 s that the guest takes to
# unpack itself. Kept beside the packages if that folder is ours to write. Falls back to the vmlinuz.
vm_kernel() {
	local image=$1 cache=$MEMNET_GUEST setup offset length out

	[ -w "$cache" ] || cache=$VM_DIR
	out=$cache/vmlinux-${image##*/vmlinuz-}
	if [ ! -s "$out" ] || [ "$image" -nt "$out" ]; then
		# Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length
		setup=$(vm_kernel_field "$image" 0x1f1 1)
		offset=$(vm_kernel_field "$image" 0x248 4)
		length=$(vm_kernel_field "$image" 0x24c 4)
		# The last four bytes of the payload are its unpacked size.
		tail -c +$(((setup + 1) * 512 + offset + 1)) "$image" | head -c $((length - 4)) >"$VM_DIR/payload"
		{ xz -dc "$VM_DIR/payload" || zstd -dc "$VM_DIR/payload"; } >"$out.$$" 2>/dev/null
		rm -f "$VM_DIR/payload"
		mv "$out.$$" "$out"
	fi
	[ "$(head -c 4 "$out")" = $'\177ELF' ] || out=$image
	echo "$out"
}

vm_kernel_field() {
	od -An -v -t "u$3" -j $(($2)) -N "$3" "$1"
}

vm_teardown() {
	local dir

	[ -n "${VM_DIR:-}" ] || return 0
	for dir in "$VM_DIR"/vm/*/; do
		vm_kill "$(basename "$dir")"
	done
	vm_host_close
	if [ -n "${VM_KEEP:-}" ]; then
		echo "vm: kept $VM_DIR" >&2
	else
		rm -rf "$VM_DIR"
	fi
}

# --- the initramfs ---------------------------------------------------------------------------------------------------

vm_root_build() {
	local root=$VM_DIR/root busybox program

	busybox=$(command -v busybox) || { vm_die "no busybox (Debian package busybox-static)"; return; }
	mkdir -p "$root"/bin "$root"/dev "$root"/proc "$root"/sys "$root"/run "$root"/tmp "$root"/etc "$root"/mnt "$root"/srv "$root"/lib/modules
	cp "$busybox" "$root/bin/busybox"
	ln -sf busybox "$root/bin/sh"
	cp "$MEMNET" "$root/bin/memnet"
	vm_init_script >"$root/init"
	vm_agent_script >"$root/bin/agent"
	chmod 755 "$root/init" "$root/bin/agent" "$root/bin/memnet"
	: >"$root/lib/modules/order"
	vm_add_modules "${VM_MODULES[@]}" || return
	for program in ${VM_PROGRAMS:-}; do
		vm_add_program "$program" || return
	done
}

# The guest's first process. The order in lib/modules/order is that of the dependencies.
vm_init_script() {
	cat <<'INIT'
#!/bin/busybox sh
export PATH=/bin HOME=/ TERM=dumb
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs tmp /tmp
while read -r module; do
	insmod "/lib/modules/$module" || echo "init: cannot load $module"
done </lib/modules/order
ip link set lo up
mkfifo /tmp/never
[ -z "$tick" ] || while :; do read -r -t "$tick" _; done <>/tmp/never &
for name in /sys/class/virtio-ports/*/name; do
	port=${name%/name}
	agent "/dev/${port##*/}" "$(cat "$name")" </dev/null &
done
echo "init: up"
[ ! -x /lib/systemd/systemd ] || exec /lib/systemd/systemd
while :; do wait; sleep 1; done
INIT
}

vm_agent_script() {
	cat <<'AGENT'
#!/bin/sh
# agent PORT NAME: answer requests (see vm.sh) for ever
dir=/run/agent/$2
mkdir -p "$dir"
cd /
while :; do
	exec 3<>"$1"
	while read -r id command <&3; do
		echo "$command" | base64 -d >"$dir/sh"
		sh "$dir/sh" >"$dir/out" 2>"$dir/err" </dev/null 3>&-
		status=$?
		echo "$id $status $(stat -c %s "$dir/out") $(stat -c %s "$dir/err")" >&3
		cat "$dir/out" "$dir/err" >&3
	done
done
AGENT
}

# The kernel's package has no modules.dep (depmod writes it at installation), but each module names what it needs.
vm_add_modules() {
	local name

	for name; do
		vm_add_module "${name//-/_}" || return
	done
}

vm_add_module() {
	local name=$1 dir=$VM_DIR/root/lib/modules file needs need

	[ ! -f "$dir/$name.ko" ] || return 0
	file=$(vm_module_file "$name")
	[ -n "$file" ] || { vm_module_builtin "$name" || vm_die "the guest kernel has no module $name"; return; }
	case $file in
	*.xz) xz -dc "$file" ;;
	*.zst) zstd -dc "$file" ;;
	*) cat "$file" ;;
	esac >"$dir/$name.ko"
	needs=$(tr '\0' '\n' <"$dir/$name.ko" | sed -n 's/^depends=//p')
	for need in ${needs//,/ }; do
		vm_add_module "${need//-/_}" || return
	done
	echo "$name.ko" >>"$dir/order"
}

# A module's name has underscores where its file's name may have hyphens. The folder of a version may be a link to the
# host's; the links in that one, to the kernel's source, are not followed.
vm_module_file() {
	find "$MEMNET_GUEST"/linux/lib/modules/*/ -name "${1//_/[-_]}.ko*" -print -quit
}

vm_module_builtin() {
	grep -qsE "/${1//_/[-_]}\.ko$" "$MEMNET_GUEST"/linux/lib/modules/*/modules.builtin
}

vm_add() {
	local file=$1 path=$VM_DIR/root/${2:-$1}

	mkdir -p "$(dirname "$path")"
	ln -fL "$file" "$path" 2>/dev/null || cp -fL "$file" "$path"
}

vm_add_program() {
	local program library

	program=$(command -v "$1") || { vm_die "no program $1"; return; }
	vm_add "$program" "/bin/$(basename "$program")"
	for library in $(ldd "$program" | grep -o '/[^ ]*'); do
		vm_add "$library"
	done
}

# A program of the host, with its libraries and their loader, and a script of its name that starts it from there.
vm_tools() {
	local program path library tools=$VM_DIR/tools

	mkdir -p "$tools/lib"
	for program; do
		path=$(command -v "$program") || { vm_die "no program $program"; return; }
		for library in $(ldd "$path" | grep -o '/[^ ]*'); do
			[ -e "$tools/lib/${library##*/}" ] || cp -L "$library" "$tools/lib/"
		done
		cp -L "$path" "$tools/lib/$program"
		cat >"$tools/$program" <<-END
			#!/bin/sh
			exec /tools/lib/ld-linux-* --library-path /tools/lib /tools/lib/$program "\$@"
		END
		chmod 755 "$tools/$program"
	done
}

vm_tools_args() {
	echo "-fsdev local,id=tools,path=$VM_DIR/tools,security_model=none,readonly=on" \
		"-device virtio-9p-pci,fsdev=tools,mount_tag=tools"
}

vm_mount_tools() {
	vm_run "$1" 'mkdir /tools && mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro tools /tools'
}

vm_pack() {
	(cd "$VM_DIR/root" && find . | busybox cpio -o -H newc -R 0:0 2>/dev/null) >"$1"
}

# --- the host side's namespace ---------------------------------------------------------------------------------------

# Spaces are mounts: what a test mounts lives in a mount namespace of its own, gone with the process that holds it
# and the QEMUs in it. Not being root, a user namespace is what allows it.
vm_host_open() {
	local user=() enter=() fifo=$VM_DIR/host-ready ready

	if [ "$(id -u)" != 0 ]; then
		user=(--user --map-root-user)
		enter=(--user --preserve-credentials)
	fi
	mkfifo "$fifo"
	# shellcheck disable=SC2016 # expanded by the inner shell
	setpriv --pdeathsig KILL unshare "${user[@]}" --mount --net -- \
		sh -c 'busybox ip link set lo up; echo ready >"$1"; exec sleep 100000' sh "$fifo" \
		</dev/null >"$VM_DIR/host.log" 2>&1 3>&- &
	VM_HOST_PID=$!
	disown "$VM_HOST_PID"
	exec {ready}<>"$fifo"
	read -r -t "$VM_DEADLINE" -u "$ready" || { vm_die "no namespace: $(cat "$VM_DIR/host.log")"; return; }
	exec {ready}>&-
	VM_ENTER=(nsenter --target "$VM_HOST_PID" "${enter[@]}" --mount --net)
	VM_ENTER_WORDS=${VM_ENTER[*]}	# arrays are not exported: bats runs each test in a new process
	export VM_ENTER_WORDS VM_HOST_PID
}

vm_host_close() {
	[ -n "${VM_HOST_PID:-}" ] || return 0
	kill -KILL "$VM_HOST_PID" 2>/dev/null || true
	vm_wait_gone "$VM_HOST_PID"
	VM_ENTER=() VM_ENTER_WORDS='' VM_HOST_PID=''
}

vm_host() {
	"${VM_ENTER[@]}" "$@"
}

# shellcheck disable=SC2206 # words are what is wanted
[ -z "${VM_ENTER_WORDS:-}" ] || VM_ENTER=($VM_ENTER_WORDS)

# --- starting and stopping -------------------------------------------------------------------------------------------

vm_start() {
	local name=$1 dir=$VM_DIR/vm/$1 i args tick=''

	shift
	[ "$VM_ACCEL" = kvm ] || tick=' tick=0.05'	# the kernel hands it on to its first process, as a variable
	! vm_alive "$name" || { vm_die "$name runs already"; return; }
	mkdir -p "$dir"
	rm -f "$dir"/ch*
	vm_pack "$dir/initrd" || return
	args=(-name "$name,debug-threads=on" -nodefaults -no-user-config -display none
		-machine "$VM_MACHINE" -smp "$VM_CPUS" -m "$VM_MEM"
		-kernel "$VM_KERNEL" -initrd "$dir/initrd"
		-append "console=ttyS0 loglevel=4 no_timer_check$tick"
		-serial "file:$dir/console.log" -device "virtio-serial-pci,max_ports=$((VM_CHANNELS + 1))")
	case $VM_ACCEL in
	kvm) args+=(-accel kvm -cpu host) ;;
	*) args+=(-accel "tcg,thread=multi") ;;
	esac
	for ((i = 1; i <= VM_CHANNELS; i++)); do
		mkfifo -m 600 "$dir/ch$i.in" "$dir/ch$i.out"
		args+=(-chardev "pipe,id=ch$i,path=$dir/ch$i" -device "virtserialport,chardev=ch$i,name=memnet.$i,nr=$i")
	done
	# Descriptors 3 to 8 are the callers' (bats waits for whoever holds its own).
	"${VM_ENTER[@]}" setpriv --pdeathsig KILL qemu-system-x86_64 "${args[@]}" "$@" \
		</dev/null >"$dir/qemu.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- &
	echo $! >"$dir/pid"
	disown $!	# no "Killed" from the shell when it is
}

# QEMU's arguments to run as a user: -run-with since QEMU 9.1, and no -runas any more since 10.
vm_run_as() {
	if qemu-system-x86_64 -help | grep -q -e '^-run-with.*user='; then
		echo "-run-with user=$1"
	else
		echo "-runas $1"
	fi
}

vm_start_memnet() {
	local name=$1 words

	shift
	words=$(vm_host "$MEMNET" share qemu-args "$name" --machine "$VM_MACHINE") || return
	# shellcheck disable=SC2086 # made to be split
	vm_start "$name" $words "$@"
}

vm_pid() {
	cat "$VM_DIR/vm/$1/pid" 2>/dev/null
}

# A zombie that its parent has not collected yet is gone for us, once its other threads are too.
vm_pid_alive() {
	local stat tasks

	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	stat=${stat##*) }
	[ "${stat%% *}" = Z ] || return 0
	tasks=(/proc/"$1"/task/*)
	[ "${#tasks[@]}" -gt 1 ]
}

vm_alive() {
	local pid

	pid=$(vm_pid "$1") && vm_pid_alive "$pid"
}

vm_wait_gone() {
	local pid=$1 deadline=$((SECONDS + ${2:-$VM_DEADLINE}))

	while vm_pid_alive "$pid"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.02
	done
}

vm_wait_boot() {
	vm_run "$1" true && return
	vm_die "$1 did not boot; its console and QEMU's own words:"
	tail -n 20 "$VM_DIR/vm/$1/console.log" "$VM_DIR/vm/$1/qemu.log" >&2
	return 1
}

vm_reboot() {
	local name=$1 before after deadline=$((SECONDS + VM_DEADLINE))

	before=$(vm_run "$name" 'cat /proc/sys/kernel/random/boot_id') || return
	# Cut off in mid-request on purpose; the channels it costs come back with the new agents below.
	VM_DEADLINE=0 vm_run "$name" 'reboot -f' 2>/dev/null || true
	while :; do
		after=$(VM_DEADLINE=2 vm_run "$name" 'cat /proc/sys/kernel/random/boot_id' 2>/dev/null) || true
		[ -z "$after" ] || [ "$after" = "$before" ] || return 0
		vm_alive "$name" || { vm_die "$name ended instead of rebooting"; return; }
		[ "$SECONDS" -lt "$deadline" ] || { vm_die "$name did not come back"; return; }
		rm -f "$VM_DIR/vm/$name"/ch*.busy
	done
}

vm_stop() {
	local name=$1 pid

	pid=$(vm_pid "$name") || return 0
	VM_DEADLINE=10 vm_run "$name" 'sync; poweroff -f' 2>/dev/null || true
	vm_wait_gone "$pid" 1 || kill -TERM "$pid" 2>/dev/null || true
	vm_wait_gone "$pid" 5 || vm_kill "$name"
	rm -f "$VM_DIR/vm/$name/pid"
}

vm_kill() {
	local pid

	pid=$(vm_pid "$1") || return 0
	kill -KILL "$pid" 2>/dev/null || true
	vm_wait_gone "$pid"
	rm -f "$VM_DIR/vm/$1/pid"
}

# --- running commands ------------------------------------------------------------------------------------------------

# Body in a subshell: its descriptors, and with them its lock, end with it.
vm_run() (
	name=$1
	dir=$VM_DIR/vm/$1
	deadline=$((SECONDS + VM_DEADLINE))
	id=$BASHPID.$RANDOM

	vm_channel_take || exit
	exec {to}<>"$channel.in" {from}<>"$channel.out"
	: >"$channel.busy"
	# What takes long here is not the guest: even a caller that does not wait for it has its request written.
	printf '%s %s\n' "$id" "$(printf '%s\n' "$2" | base64 -w 0)" | timeout "$((VM_DEADLINE + 30))" cat >&"$to" || exit 124
	while :; do
		vm_answer || { status=$?; vm_tell; exit $status; }
		vm_bytes "$out" && vm_bytes "$err" >&2 || exit 124
		[ "$got" != "$id" ] || break	# else a late answer to a caller that had given up
	done
	rm -f "$channel.busy"
	exit "$status"
)

# The first free channel, locked, in $channel.
vm_channel_take() {
	local i

	while :; do
		for ((i = 1; i <= VM_CHANNELS; i++)); do
			channel=$dir/ch$i
			[ ! -e "$channel.busy" ] || continue
			exec {lock}>"$channel.lock"
			if flock -n "$lock" && [ ! -e "$channel.busy" ]; then
				return 0
			fi
			exec {lock}>&-
		done
		vm_waiting "a free channel" || return
		sleep 0.05
	done
}

# One header, in $got $status $out $err.
vm_answer() {
	local line='' part

	until read -r -t 0.2 -u "$from" part && line+=$part; do
		line+=$part
		vm_waiting "the guest's answer" || return
	done
	read -r got status out err <<<"$line"
}

vm_waiting() {
	vm_alive "$name" || { vm_die "$name is not running"; return 125; }
	[ "$SECONDS" -lt "$deadline" ] || { vm_die "$name: timed out waiting for $1"; return 124; }
}

# Of a guest that gave no answer in such a time that it should have: where its processes are, and its kernel's last words.
vm_tell() {
	[ "$status" = 124 ] && [ "$VM_DEADLINE" -ge 60 ] || return 0
	echo "vm: $name: what its processes wait for:"
	# shellcheck disable=SC2016 # expanded in the guest
	VM_DEADLINE=30 vm_run "$name" 'for task in /proc/[0-9]*/task/[0-9]*; do
			read -r _ state <<-END
				$(grep ^State: $task/status)
			END
			grep -q . "${task%/task*}/cmdline" || [ "${state%% *}" = D ] || continue
			echo "${task#/proc/} $(cat $task/comm) $state"
			sed "s/^/	/" $task/stack
		done; dmesg | tail -n 20' || true
	tail -n 20 "$dir/console.log"
} >&2 2>/dev/null

vm_bytes() {
	[ "$1" = 0 ] || timeout "$((VM_DEADLINE + 30))" head -c "$1" <&"$from"
}

vm_put() {
	vm_run "$1" "base64 -d >$3 <<'END'
$(base64 <"$2")
END"
}

# --- accounting ------------------------------------------------------------------------------------------------------

# vCPU threads are known by the names debug-threads=on gives them ("CPU 0/TCG"); schedstat counts nanoseconds. The
# process's own total, in ticks, includes the 9p and I/O workers that have ended meanwhile.
vm_cpu() {
	local pid task vcpu=0 ns comm

	pid=$(vm_pid "$1") || { vm_die "$1 is not running"; return; }
	for task in /proc/"$pid"/task/*; do
		read -r comm <"$task/comm" || continue
		case $comm in
		CPU\ [0-9]*)
			read -r ns _ <"$task/schedstat"
			vcpu=$((vcpu + ns))
			;;
		esac
	done
	awk -v vcpu="$vcpu" -v total="$(vm_process_cpu "$pid")" 'BEGIN {
		vcpu /= 1e9; other = total - vcpu
		printf "%.3f %.3f\n", vcpu, (other > 0 ? other : 0)
	}'
}

# CPU seconds so far of a process.
vm_process_cpu() {
	sed 's/.*) //' "/proc/$1/stat" | awk -v hz="$(getconf CLK_TCK)" '{ printf "%.2f\n", ($12 + $13) / hz }'
}
