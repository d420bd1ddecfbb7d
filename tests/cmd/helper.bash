# Helpers for tests of memnet share: a namespace of tests/guest/vm.sh, QEMUs without guests in it.

share()
{
	vm_host "$MEMNET" share "$@"
}

# fails STATUS WORDS ARG…: memnet share ARG… ends with STATUS and one line with WORDS on stderr
fails()
{
	local want=$1 words=$2 got=0 said

	shift 2
	said=$(vm_host "$MEMNET" share "$@" 2>&1 >/dev/null) || got=$?
	if [ "$got" != "$want" ] || [[ $said != *"$words"* ]] || [ "$(wc -l <<<"$said")" != 1 ]; then
		echo "share $*: exit $got, wanted $want; said: $said" >&2
		return 1
	fi
}

# killed_after N ARG…: memnet ARG… with SIGKILL after some hundreds of microseconds, more for a larger N
killed_after()
{
	local n=$1

	shift
	{ vm_host timeout -s KILL "0.00$((n % 10))$((n / 10))" "$MEMNET" "$@"; } >/dev/null 2>&1 || true
}

# show SPACE FILTER
show()
{
	share show -j --wait 30s "$1" | jq -r "$2"
}

# qemu VM ARG… [--]: starts one without a guest, stopped before its first instruction, with what
# qemu-args prints; with -- without that, at VM.sock or SOCKET. IN: a command to run it under.
qemu()
{
	local vm=$1 args=() socket

	shift
	if [ "${!#}" = -- ]; then
		set -- "${@:1:$#-1}"
		socket=${SOCKET:-$VM_DIR/$vm.sock}
	else
		case $* in
		*"-machine pc"*) read -r -d '' -a args < <(share_words "$vm" --machine pc) || true ;;
		*) read -r -d '' -a args < <(share_words "$vm") || true ;;
		esac
		socket=$MEMNET_RUNTIME_DIR/.qmp/$vm.sock
	fi
	# shellcheck disable=SC2086 # words
	"${VM_ENTER[@]}" ${IN:-} setpriv --pdeathsig KILL qemu-system-x86_64 -S -nodefaults -no-user-config -display none -m 32 \
		-accel tcg "${args[@]}" "$@" </dev/null >"$VM_DIR/$vm.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- &
	echo $! >"$VM_DIR/$vm.pid"
	disown $!
	until [ -S "$socket" ]; do
		vm_pid_alive "$(cat "$VM_DIR/$vm.pid")" || { cat "$VM_DIR/$vm.log" >&2; return 1; }
		sleep 0.02
	done
}

share_words()
{
	vm_host "$MEMNET" share qemu-args "$@"
}

# The ids of a VM's 9p devices, asked for behind memnet's back.
devices()
{
	printf '%s\n' '{"execute":"qmp_capabilities"}' '{"execute":"qom-list","arguments":{"path":"/machine/peripheral"}}' |
		socat -t 30 - UNIX-CONNECT:"$MEMNET_RUNTIME_DIR/.qmp/$1.sock" |
		jq -r 'select(.return | type == "array").return[] | select(.type == "child<virtio-9p-pci>").name'
}

# Whether any process has the file open.
held()
{
	find /proc/[0-9]*/fd -lname "$1" 2>/dev/null | grep -q .
}

model()
{
	vm_host "$MEMNET" share check -H | sed -n 's/^OK\tattributes\t.*: \(mapped-[a-z]*\)$/\1/p'
}

# A program that passes one call to a VM's monitor, as virsh qemu-monitor-command does: it gives the
# call an id, and refuses one that has one. It fails at the call whose number is in the file fail-at.
monitor_command()
{
	cat >"$VM_DIR/monitor" <<END
#!/bin/sh
n=\$((\$(cat "$VM_DIR/calls") + 1))
echo \$n >"$VM_DIR/calls"
[ \$n != "\$(cat "$VM_DIR/fail-at")" ] || { echo 'error: the line went dead' >&2; exit 1; }
call=\$(printf '%s' "\$2" | jq -c 'if .id then error("duplicate key id") else .id = "libvirt-7" end') || exit
printf '%s\n' '{"execute":"qmp_capabilities"}' "\$call" |
	socat -t 30 - UNIX-CONNECT:"$MEMNET_RUNTIME_DIR/.qmp/\$1.sock" | grep '"id": "libvirt-7"'
END
	chmod 755 "$VM_DIR/monitor"
	echo 0 >"$VM_DIR/calls"
	echo 0 >"$VM_DIR/fail-at"
}

# domain FRAGMENT MACHINE: a libvirt domain with it
domain()
{
	cat <<END
<domain type='qemu'>
  <name>web1</name>
  <memory unit='MiB'>128</memory>
  <os><type arch='x86_64' machine='$2'>hvm</type></os>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices>
$1
</domain>
END
}
