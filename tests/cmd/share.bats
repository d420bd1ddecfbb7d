#!/usr/bin/env bats
# shellcheck disable=SC1091,SC2016 # sourced by a variable path; the guest or an inner shell expands
# memnet share against a real QEMU that runs no guest: what the verbs say and leave, and every way
# to be cut off in the middle. All of it in a mount namespace of its own.

bats_require_minimum_version 1.5.0

load ../until.bash

setup_file()
{
	type qemu-system-x86_64 socat jq >/dev/null 2>&1 || skip "no QEMU, socat or jq"
	export VM_DIR=$BATS_FILE_TMPDIR
	source "$BATS_TEST_DIRNAME/../guest/vm.sh"
	vm_host_open
	export MEMNET_RUNTIME_DIR=$VM_DIR/run MEMNET_CONF=$VM_DIR/conf
	: >"$MEMNET_CONF"
	qemu web1 -machine q35
	qemu web2 -machine pc
}

teardown_file()
{
	source "$BATS_TEST_DIRNAME/../guest/vm.sh"
	for pid in "$VM_DIR"/*.pid; do
		kill -KILL "$(cat "$pid")" || true
	done
	vm_host_close
}

setup()
{
	source "$BATS_TEST_DIRNAME/../guest/vm.sh"
	load helper
}

teardown()
{
	[ -z "${holder:-}" ] || kill "$holder" 2>/dev/null || true
	for space in $(share list -H | cut -f 1); do
		share destroy --force "$space"
	done
}

source "${BATS_TEST_DIRNAME:-tests/cmd}/helper.bash"

@test "what is wrong with a command line is said, exit 2" {
	fails 2 'bad size "12Q": want a number with K, M, G or T' create web1/out --size 12Q
	fails 2 'bad size "0"' create web1/out --size 0
	fails 2 '--size wanted' create web1/out
	fails 2 '--size wanted' create web1/out 4M
	fails 2 '4M is one too many' create web1/out 4M --size 4M
	fails 2 'web1/out: want a VM (of one space: memnet share show)' list web1/out
	fails 2 'bad space name "web1"' create web1 --size 1M
	fails 2 'bad space name "../x/y"' create ../x/y --size 1M
	fails 2 'bad --huge "big"' create web1/out --size 1M --huge big
	fails 2 'bad number of inodes' create web1/out --size 1M --inodes 0
	fails 2 'no such user' create web1/out --size 1M --owner nobody-at-all
	for owner in -1 4294967295 4294967296 99999999999999999999 1e3; do
		fails 2 'bad owner' create web1/out --size 1M "--owner=$owner" --no-attach
	done
	fails 2 'no such group' create web1/out --size 1M --owner 0:4294967296 --no-attach
	fails 2 'a size wanted' resize web1/out
	fails 2 'exclude each other' create web1/out --size 1M --no-attach --mount /m
	fails 2 'wants the guest agent' create web1/out --size 1M --mount /m
	fails 2 'unknown verb' frobnicate
	fails 2 'unknown option "--zero-copy"' qemu-args web1 --zero-copy 1G
}

@test "no such VM, no such space: exit 4 with the next step" {
	fails 4 'memnet share qemu-args nope' create nope/out --size 1M
	fails 4 'memnet share qemu-args nope' attach nope
	fails 4 'web1/none: no such space' resize web1/none 1M
	fails 4 'web1/none: no such space' destroy web1/none
	fails 4 'web1/none: no such space' show web1/none
	share check nope | grep -q '^BAD .*no monitor socket'
	run -4 share check nope
}

@test "list of a VM: its spaces, none, or exit 4 where there is no such VM" {
	fails 4 'TYPO: no such VM: it has no space, and nobody listens at' list TYPO
	[ -z "$(share list web1)" ]
	share create boot/out --size 1M --no-attach
	[ "$(share list boot -H | cut -f 1)" = boot/out ]
	fails 2 '--qmp is the monitor of one VM' list --qmp "$MEMNET_RUNTIME_DIR/.qmp/web1.sock"
	fails 2 "bad monitor" create web1/out --size 1M --qmp ''
}

@test "a reader that has seen enough, and one that has no room" {
	share create web1/out --size 1M
	run vm_host sh -c '"$0" share list 2>&1 >&3 | cat; exec 3>&-' "$MEMNET" 3> >(:)
	[ -z "$output" ]
	run -1 vm_host sh -c '"$0" share list >/dev/full' "$MEMNET"
	[[ $output == *"standard output: No space left on device"* ]]
}

@test "create waits for the monitor of a QEMU that is being started" {
	vm_host "$MEMNET" share create late/out --size 1M --wait 120s 3>&- &
	creator=$!
	until [ -e "$MEMNET_RUNTIME_DIR/.lock/late" ]; do :; done
	qemu late -machine q35
	wait "$creator"
	[ "$(devices late)" = memnet ]
	share destroy late/out
	kill -KILL "$(cat "$VM_DIR/late.pid")"
}

# Nothing is written: sizes only.
@test "a size that the host does not have is refused, or warned of, with the figures" {
	local kb swap

	kb=$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)
	swap=$(awk '$1 == "SwapTotal:" { print $2 }' /proc/meminfo)
	fails 1 "more than all of the host's memory" create web1/out --size $((kb + swap + 1))K
	fails 1 'or --force' create web1/out --size 900000T
	[ -z "$(share list)" ]
	share create web1/out --size 900000T --force 2>&1 | grep -q 'web1/out: warning: it may take .* more, and the host has .* free'
	[ -z "$(share resize web1/out 1M 2>&1)" ]
	fails 1 'or --force' resize web1/out +900000T
	[ "$(show web1/out .size_bytes)" = 1048576 ]
	share resize web1/out +900000T --force 2>&1 | grep -q 'warning: it may take'
	[ -z "$(share create web1/out --size 1M -q -n)" ] || true
	share create web1/small --size 1M 2>&1 | grep -q 'warning: all spaces together may take .*, and the host has'
	[ -z "$(share create web1/small2 --size 1M -q 2>&1)" ]
}

# Stopped before its first instruction, a QEMU keeps a device that it has.
@test "a create that fails leaves no pool, and plugs nothing for options that no space can have" {
	qemu fresh -machine q35
	fails 1 'or --force' create fresh/out --size 900000T
	fails 1 'mpol=nonsense' create fresh/out --size 1M --mpol nonsense
	[ -z "$(devices fresh)" ]
	vm_host test ! -e "$MEMNET_RUNTIME_DIR/fresh"
	fails 1 'mpol=nonsense' create alone/out --size 1M --mpol nonsense --no-attach
	vm_host test ! -e "$MEMNET_RUNTIME_DIR/alone"
	qemu portless -machine q35 -qmp "unix:$VM_DIR/portless.sock,server=on,wait=off" --
	for verb in 'create portless/out --size 1M' 'attach portless'; do
		# shellcheck disable=SC2086 # words
		fails 1 'no PCIe root port' $verb --qmp "$VM_DIR/portless.sock"
		vm_host test ! -e "$MEMNET_RUNTIME_DIR/portless"
	done
	share create fresh/out --size 1M
	fails 1 'exists with a size' create fresh/out --size 2M
	[ "$(show fresh/out .size_bytes)" = 1048576 ]
}

@test "create, again, and with another size" {
	share create web1/out --size 1M
	share create web1/out --size 1M
	fails 1 'it exists with a size of 1.00M' create web1/out --size 2M
	[ "$(devices web1)" = memnet ]
	[ "$(share list -Hp | cut -f 1,2,3)" = $'web1/out\t1048576\t0' ]
}

@test "the options of a space are those of its mount" {
	share create web1/out --size 1M --inodes 100 --huge never --mpol local
	grep -q "$MEMNET_RUNTIME_DIR/web1/out rw,nosuid,nodev,noexec.*nosymfollow" <(vm_host cat /proc/self/mountinfo)
	[ "$(show web1/out .inodes)" = 100 ]
	[ "$(show web1/out .huge)" = never ]
	share resize web1/out --inodes 200
	[ "$(show web1/out .inodes)" = 200 ]
	fails 1 'exists with huge=never' create web1/out --size 1M --huge advise
	[ "$(show web1/out .size_bytes)" = 1048576 ]
}

@test "noswap" {
	vm_host "$MEMNET" share check -H | grep -q $'OK\tnoswap' || skip "this kernel or user cannot"
	share create web1/out --size 1M --noswap
	[ "$(show web1/out .noswap)" = true ]
	share create web1/two --size 1M
	fails 1 'may be swapped' create web1/two --size 1M --noswap
}

@test "resize: S, +S, -S, and never below what is used" {
	share create web1/out --size 1M
	share resize web1/out 4M
	share resize web1/out +1M
	[ "$(show web1/out .size_bytes)" = 5242880 ]
	share resize web1/out -3M
	[ "$(show web1/out .size_bytes)" = 2097152 ]
	vm_host dd if=/dev/zero of="$MEMNET_RUNTIME_DIR/web1/out/x" bs=1M count=1 status=none
	fails 7 'web1/out: cannot shrink to 512K: 1.00M are in use, 1048576 bytes' resize web1/out 512K
	fails 2 'bad size "-4M": want 64K or more left of 2.00M' resize web1/out -4M
	[ "$(show web1/out .size_bytes)" = 2097152 ]
	[ "$(share resize web1/out 3M -j | jq .size_bytes)" = 3145728 ]
}

@test "resize to fewer inodes than are in use: the kernel's own words" {
	share create web1/out --size 1M
	vm_host sh -c 'cd "$1" && touch $(seq 20)' sh "$MEMNET_RUNTIME_DIR/web1/out"
	fails 7 'Too few inodes for current use' resize web1/out --inodes 16
	[ "$(show web1/out .inodes)" = 16384 ]
}

@test "destroy: refused while it holds objects, while it is open, unless forced" {
	share create web1/out --size 1M
	vm_host touch "$MEMNET_RUNTIME_DIR/web1/out/object"
	fails 7 'it still holds objects, such as object' destroy web1/out
	vm_host sh -c 'exec 3>"$1"; exec sleep 100' sh "$MEMNET_RUNTIME_DIR/web1/out/object" 3>&- &
	holder=$!
	until vm_host fuser -s "$MEMNET_RUNTIME_DIR/web1/out/object" 2>/dev/null || held "$MEMNET_RUNTIME_DIR/web1/out/object"; do :; done
	fails 5 'a file in it is open, by sleep' destroy web1/out
	share destroy --force web1/out
	kill "$holder"
	fails 4 'no such space' destroy web1/out
}

@test "list and show: human, tab-separated, exact, JSON" {
	share create web1/out --size 1.5G
	share create web2/in --size 64K
	[ "$(share list | sed 1q)" = "SPACE      SIZE  USED  AVAIL  OBJECTS  WRITING  INODES  GUEST   MIGRATION" ]
	[ "$(share list -H | cut -f 1,2)" = $'web1/out\t1.50G\nweb2/in\t64.0K' ]
	[ "$(share list -Hp | cut -f 1,2)" = $'web1/out\t1610612736\nweb2/in\t65536' ]
	[ "$(share list -j | jq -r '.schema, .spaces[].space')" = $'1\nweb1/out\nweb2/in' ]
	[ "$(share list web2 -j | jq -r '.spaces[].space')" = web2/in ]
	[ "$(show web1/out .schema)" = 1 ]
	[ "$(show web1/out .guest)" = unseen ]
	[ "$(show web1/out .vm_state)" = prelaunch ]
	share show web1/out | grep -q '^size  *1.50G$'
}

@test "objects being written are shown, and an object is named by its path" {
	share create web1/out --size 1M
	vm_host sh -c 'cd "$1" && mkdir -p d/e && echo x >d/e/object && echo abc >.memnet/part/job-1.0 && : >.memnet/part/job-1' \
		sh "$MEMNET_RUNTIME_DIR/web1/out"
	[ "$(show web1/out '"\(.objects) \(.parts) \(.part_bytes)"')" = "1 1 4" ]
	share show web1/out | grep -q '^being written  *1$'
	fails 7 'it still holds objects, such as d/e/object' destroy web1/out
}

@test "a dry run says what it would do and does nothing" {
	[ "$(share create -n web1/out --size 1M)" = "would create web1/out" ]
	[ -z "$(share list)" ]
	share create web1/out --size 1M
	[ "$(share resize -n web1/out 2M)" = "would resize web1/out" ]
	[ "$(share destroy -n web1/out)" = "would destroy web1/out" ]
	[ "$(share detach -n web1)" = "would detach web1" ]
	rm "$MEMNET_RUNTIME_DIR/.lock/web1"
	share resize -n web1/out 2M
	share destroy -n web1/out
	fails 4 'no such space' destroy typo/out
	fails 4 'no such space' resize typo/out 1M
	[ ! -e "$MEMNET_RUNTIME_DIR/.lock/web1" ]
	[ ! -e "$MEMNET_RUNTIME_DIR/.lock/typo" ]
	[ "$(show web1/out .size_bytes)" = 1048576 ]
}

@test "spaces without a VM, at boot" {
	share create boot/out --size 1M --no-attach
	share create boot/out --size 1M --no-attach
	[ "$(show boot/out .guest)" = "not running" ]
	share destroy boot/out
	vm_host test ! -e "$MEMNET_RUNTIME_DIR/boot"
}

@test "attach without a guest: plugged, exit 6, and why; detach waits for nobody" {
	# Again, where QEMU had no time to answer within it.
	until_true fails 6 'the VM is prelaunch' attach web1 --wait 200ms
	[ "$(devices web1)" = memnet ]
	until_true fails 6 'does not let the device go' detach web1 --wait 200ms
}

@test "a monitor that another client holds" {
	socat UNIX-CONNECT:"$MEMNET_RUNTIME_DIR/.qmp/web1.sock" EXEC:'sleep 100' 3>&- &
	holder=$!
	until [[ $(share check web1 --wait 200ms) == *"does not greet"* ]]; do :; done
	until_true fails 6 'does not greet' create web1/out --size 1M --wait 200ms
	[ -z "$(share list --wait 100ms)" ]
	kill "$holder"
	wait "$holder" || true
	holder=
	share create web1/out --size 1M
}

@test "a stopped QEMU is told from a busy one" {
	kill -STOP "$(cat "$VM_DIR/web1.pid")"
	until_true grep -q '^State:.T' "/proc/$(cat "$VM_DIR/web1.pid")/status"
	until_true fails 6 'kill -CONT' create web1/out --size 1M --wait 200ms
	kill -CONT "$(cat "$VM_DIR/web1.pid")"
	share create web1/out --size 1M
}

@test "a VM started without a pool, without a port, with the port taken" {
	qemu bare -machine q35 -qmp "unix:$VM_DIR/bare.sock,server=on,wait=off" --
	fails 1 'no PCIe root port' create bare/out --size 1M --qmp "$VM_DIR/bare.sock"
	qemu bare2 -machine pc -qmp "unix:$VM_DIR/bare2.sock,server=on,wait=off" --
	fails 1 'was not started with a pool' create bare2/out --size 1M --qmp "unix:$VM_DIR/bare2.sock"
	run -1 share check bare2 --qmp "$VM_DIR/bare2.sock"
	[[ $output == *"BAD     pool"* ]]
	qemu taken -machine q35 -device virtio-net-pci,bus=memnet-port
	fails 5 'every PCIe root port is occupied' create taken/out --size 1M
	[ -z "$(share list)" ]
}

@test "a QEMU in a private mount namespace is found out and nothing is left" {
	IN='unshare --mount --propagation private' qemu private -machine q35
	fails 1 'another mount namespace' create private/out --size 1M
	[ -z "$(share list)" ]
}

@test "check: exit 0 only if a space would work" {
	share create web2/out --size 1M
	run share check web2
	[ "$status" = 1 ]
	[[ $output == *"BAD     guest            the VM is prelaunch"* ]]
	[ "$(share check web2 -j | jq -r '.checks[] | select(.check == "folder").result')" = OK ]
}

@test "check finds the pool in a long command line, wherever its id stands" {
	mkdir -p "$MEMNET_RUNTIME_DIR/long"
	qemu long -machine pc -qmp "unix:$VM_DIR/long.sock,server=on,wait=off" \
		-fw_cfg "name=opt/long,string=$(printf %040000d 0)" \
		-fsdev "local,path=$MEMNET_RUNTIME_DIR/long,security_model=$(model),multidevs=remap,id=memnet" --
	[ "$(share check long --qmp "$VM_DIR/long.sock" -j | jq -r '.checks[] | select(.check == "pool").result')" = OK ]
}

@test "qemu-args: words for the shell" {
	[ "$(share qemu-args web1)" = "-fsdev local,id=memnet,path=$MEMNET_RUNTIME_DIR/web1,security_model=$(model),multidevs=remap
-device pcie-root-port,id=memnet-port,chassis=250
-qmp unix:$MEMNET_RUNTIME_DIR/.qmp/web1.sock,server=on,wait=off" ]
	[ "$(share qemu-args web1 --machine pc | wc -l)" = 2 ]
	share qemu-args web1 --qmp /run/q.sock | grep -q '^-qmp unix:/run/q.sock,'
	[ "$(share qemu-args web1 --qmp 'exec:virsh x' | grep -c qmp)" = 0 ]
	fails 2 'want q35 or pc' qemu-args web1 --machine virt
	fails 2 'choose another --runtime-dir' qemu-args web1 --runtime-dir '/tmp/a b'
	fails 2 'choose another --runtime-dir' qemu-args web1 --runtime-dir '/tmp/a,b'
	vm_host test ! -e '/tmp/a b'
}

@test "qemu-args --libvirt is XML that libvirt accepts" {
	command -v virt-xml-validate >/dev/null || skip "no virt-xml-validate"
	for machine in q35 pc; do
		domain "$(share qemu-args web1 --libvirt --machine $machine)" "$machine" >"$VM_DIR/domain.xml"
		virt-xml-validate "$VM_DIR/domain.xml" domain
	done
}

@test "the configuration says where the monitor is, and errors name the line" {
	printf '# c\n[vm other]\n qmp = %s # c\n' "$MEMNET_RUNTIME_DIR/.qmp/web1.sock" >"$MEMNET_CONF"
	share create other/out --size 1M || true
	share list -H | grep -q '^other/out' && false
	printf '\n[vm web1]\nqpm = x\n' >"$MEMNET_CONF"
	fails 2 "$MEMNET_CONF:3: unknown key \"qpm\"" create web1/out --size 1M
	printf 'qmp = x\n' >"$MEMNET_CONF"
	fails 2 "$MEMNET_CONF:1: \"qmp\" stands before any [SECTION]" create web1/out --size 1M
	for section in vms vm 'tune x' 'energy x' space; do
		printf '[%s]\n' "$section" >"$MEMNET_CONF"
		fails 2 "$MEMNET_CONF:1: unknown section [$section]" create web1/out --size 1M
	done
	printf '[vm web1\n' >"$MEMNET_CONF"
	fails 2 "$MEMNET_CONF:1: bad section" create web1/out --size 1M
	fails 1 'No such file' create web1/out --size 1M --config /nonexistent
	: >"$MEMNET_CONF"
}

@test "the owner of a space is whom QEMU runs as, or whom we say" {
	[ "$(id -u)" = 0 ] || skip "not root"
	share create web1/out --size 1M --owner 1234:5678
	[ "$(vm_host stat -c %u:%g "$MEMNET_RUNTIME_DIR/web1/out" "$MEMNET_RUNTIME_DIR/web1/out/.memnet/part" | sort -u)" = 1234:5678 ]
	share create web1/out --size 1M
	[ "$(vm_host stat -c %u:%g "$MEMNET_RUNTIME_DIR/web1/out" "$MEMNET_RUNTIME_DIR/web1/out/.memnet/part" | sort -u)" = 0:0 ]
}

@test "a QEMU that runs as another user, from its start or later" {
	[ "$(id -u)" = 0 ] || skip "not root"
	chmod o+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/file" "$VM_DIR"
	# shellcheck disable=SC2046 # words are wanted
	qemu runas -machine q35 $(vm_run_as nobody)
	share create runas/out --size 1M
	[ "$(vm_host stat -c %u "$MEMNET_RUNTIME_DIR/runas" "$MEMNET_RUNTIME_DIR/runas/out" "$MEMNET_RUNTIME_DIR/runas/out/.memnet/part" | sort -u)" = "$(id -u nobody)" ]
	[ "$(share check runas -j | jq -r '.checks[] | select(.check == "owner") | .result + " " + .detail')" = "OK user $(id -u nobody), whom QEMU runs as" ]

	mkdir "$VM_DIR/theirs"
	chown 12345 "$VM_DIR/theirs"
	words=$(share qemu-args theirs | grep -v ^-qmp)
	# shellcheck disable=SC2086 # words
	SOCKET=$VM_DIR/theirs/qmp IN='setpriv --reuid 12345 --regid 12346 --clear-groups' qemu theirs -machine q35 $words \
		-qmp "unix:$VM_DIR/theirs/qmp,server=on,wait=off" --
	chmod 700 "$MEMNET_RUNTIME_DIR"
	fails 1 "QEMU runs as user 12345, who cannot pass through $MEMNET_RUNTIME_DIR (chmod o+x $MEMNET_RUNTIME_DIR, or another --runtime-dir)" \
		create theirs/out --size 1M --qmp "$VM_DIR/theirs/qmp"
	share check theirs --qmp "$VM_DIR/theirs/qmp" -H | grep -q $'^BAD\towner\tQEMU runs as user 12345, who cannot pass'
	chmod 711 "$MEMNET_RUNTIME_DIR"
	share create theirs/out --size 1M --qmp "$VM_DIR/theirs/qmp"
	[ "$(vm_host stat -c %u:%g "$MEMNET_RUNTIME_DIR/theirs" "$MEMNET_RUNTIME_DIR/theirs/out" | sort -u)" = 12345:12346 ]
}

@test "spaces made for another user are QEMU's after an attach, and check says that they are not" {
	[ "$(id -u)" = 0 ] || skip "not root"
	share create web2/out --size 1M --owner 1234:5678
	share check web2 -H | grep -q $'^BAD\towner\tQEMU runs as user 0, and the pool is user 1234\'s (memnet share attach web2)'
	until_true fails 6 prelaunch attach web2 --wait 100ms
	[ "$(vm_host stat -c %u:%g "$MEMNET_RUNTIME_DIR/web2" "$MEMNET_RUNTIME_DIR/web2/out" "$MEMNET_RUNTIME_DIR/web2/out/.memnet/part" | sort -u)" = 0:0 ]
	share check web2 -H | grep -q $'^OK\towner\tuser 0, whom QEMU runs as'
}

@test "while attach waits for the guest, a space can be resized" {
	[ "$(id -u)" = 0 ] || skip "not root"
	share create web1/out --size 1M --owner 1234:5678
	vm_host setpriv --pdeathsig KILL "$MEMNET" share attach web1 --wait 120s 3>&- &
	holder=$!
	# It had the lock when it did this, and waits since.
	until [ "$(vm_host stat -c %u "$MEMNET_RUNTIME_DIR/web1/out")" = 0 ]; do kill -0 "$holder"; done
	share resize web1/out 2M --wait 30s
	kill "$holder"
	wait "$holder" || true
}

@test "a monitor through a command, which fails at each of its calls in turn" {
	monitor_command
	for ((n = 1; n < 20; n++)); do
		echo "$n" >"$VM_DIR/fail-at"
		echo 0 >"$VM_DIR/calls"
		run share create web2/out --size 1M --qmp "exec:$VM_DIR/monitor web2"
		[ "$status" != 0 ] || break
		[ "$status" = 1 ]
		[[ $output == *"error: the line went dead"* ]]
		echo 0 >"$VM_DIR/fail-at"
		share create web2/out --size 1M --qmp "exec:$VM_DIR/monitor web2"
		[ "$(devices web2)" = memnet ]
		[ "$(share list -H | wc -l)" = 1 ]
		share destroy web2/out
	done
	[ "$n" -gt 1 ]
}

@test "a clone that serves the pool of another VM is found out, through a command too" {
	local socket=$MEMNET_RUNTIME_DIR/.qmp/clone.sock

	share create web1/out --size 1M
	monitor_command
	SOCKET=$socket qemu clone -machine pc -qmp "unix:$socket,server=on,wait=off" \
		-fsdev "local,path=$MEMNET_RUNTIME_DIR/web1,security_model=$(model),multidevs=remap,id=memnet" --
	fails 1 'serves another folder' create clone/out --size 1M
	[ -z "$(share list -H clone)" ]
	# The device is taken back: QEMU waits for the guest to let it go.
	printf '%s\n' '{"execute":"qmp_capabilities"}' '{"execute":"device_del","arguments":{"id":"memnet"}}' |
		socat -t 30 - UNIX-CONNECT:"$socket" | grep -q 'in the process of unplug'
	[ "$(id -u)" = 0 ] || skip "not root: not every process is seen"
	[ "$(readlink /proc/self/ns/pid)" = 'pid:[4026531836]' ] || skip "not every process is seen here"
	fails 1 "clone: QEMU serves another folder than $MEMNET_RUNTIME_DIR/clone, which no process has open" \
		create clone/out --size 1M --wait 60s --qmp "exec:$VM_DIR/monitor clone"
	[ -z "$(share list -H clone)" ]
	share check clone --wait 60s --qmp "exec:$VM_DIR/monitor clone" -H | grep -q $'^BAD\tfolder\tQEMU does not serve '
	share check web1 --wait 60s --qmp "exec:$VM_DIR/monitor web1" -H | grep -q $'^OK\tfolder\t'
}

# cut_monitor BYTES: a socket at which the real monitor's words, and the connection, end after so many bytes
cut_monitor()
{
	rm -f "$VM_DIR/cut"
	vm_host socat -t 0 UNIX-LISTEN:"$VM_DIR/cut" UNIX-CONNECT:"$MEMNET_RUNTIME_DIR/.qmp/web2.sock,readbytes=$1" \
		>/dev/null 2>&1 3>&- &
	cutter=$!
	until [ -S "$VM_DIR/cut" ]; do :; done
}

@test "a connection that dies after any number of bytes: an error, and a rerun ends in the wanted state" {
	for ((bytes = 1; bytes < 4000; bytes += 151)); do
		cut_monitor "$bytes"
		run share create web2/out --size 1M --qmp "$VM_DIR/cut"
		kill "$cutter" 2>/dev/null || true
		wait "$cutter" || true
		[[ $status =~ ^[01]$ ]] || { echo "$bytes: $status $output"; return 1; }
		share create web2/out --size 1M
		[ "$(devices web2)" = memnet ]
		[ "$(share list -H | wc -l)" = 1 ]
		share destroy web2/out
		[ "$status" = 1 ] || break # all was said by then
	done
	[ "$bytes" -gt 300 ]
}

@test "killed at any instant, the next run ends in the wanted state" {
	for ((n = 0; n < 60; n++)); do
		killed_after "$n" share create web1/out --size 1M
		killed_after "$n" share destroy web1/out
		share create web1/out --size 1M
		[ "$(show web1/out .read_only)" = false ]
		killed_after "$n" share resize web1/out 2M
		[[ $(show web1/out .size_bytes) =~ ^(1048576|2097152)$ ]]
		share resize web1/out 3M
		[ "$(show web1/out .size_bytes)" = 3145728 ]
		killed_after "$n" share destroy web1/out
		share destroy web1/out 2>/dev/null || [ $? = 4 ]
		[ -z "$(share list)" ]
	done
	# What is left is the pools: no space's mount, none twice.
	mounts=$(vm_host awk -v dir="$MEMNET_RUNTIME_DIR/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo)
	[ "$(sort <<<"$mounts")" = "$(sort -u <<<"$mounts")" ]
	[ "$(grep -c "$MEMNET_RUNTIME_DIR/.*/" <<<"$mounts")" = 0 ]
}

@test "pools of VMs that died after their last space go with the next command" {
	qemu gone -machine q35
	share create gone/out --size 1M
	share destroy gone/out
	share create web1/out --size 1M
	share destroy web1/out
	vm_host test -d "$MEMNET_RUNTIME_DIR/gone" # its QEMU has it open
	kill -KILL "$(cat "$VM_DIR/gone.pid")"
	vm_wait_gone "$(cat "$VM_DIR/gone.pid")"
	share create web1/out --size 1M
	share destroy web1/out
	vm_host test ! -e "$MEMNET_RUNTIME_DIR/gone"
	[ "$(vm_host grep -c "$MEMNET_RUNTIME_DIR/gone " /proc/self/mountinfo)" = 0 ]
}

@test "detach of a VM that died without spaces takes its pool; one with spaces cannot be known" {
	qemu gone2 -machine q35
	share create gone2/out --size 1M
	kill -KILL "$(cat "$VM_DIR/gone2.pid")"
	vm_wait_gone "$(cat "$VM_DIR/gone2.pid")"
	fails 4 'nobody listens' detach gone2
	vm_host umount "$MEMNET_RUNTIME_DIR/gone2/out"
	share detach gone2
	vm_host test ! -e "$MEMNET_RUNTIME_DIR/gone2"
	fails 4 'nobody listens' detach gone2
	# A wrong address is no death: the QEMU that runs has the pool open.
	share create web2/out --size 1M
	share destroy web2/out
	fails 4 'no monitor socket' detach web2 --qmp "$VM_DIR/nosuch" --wait 0
	[ "$(devices web2)" = memnet ]
}

@test "detach of a dead VM through a command takes its pool; that of one that lives stays" {
	qemu gone3 -machine q35
	share create gone3/out --size 1M
	share destroy gone3/out
	monitor_command
	echo 1 >"$VM_DIR/fail-at"
	fails 1 'the line went dead' create none/out --size 1M --qmp "exec:$VM_DIR/monitor none"
	vm_host test ! -e "$MEMNET_RUNTIME_DIR/none"
	echo 0 >"$VM_DIR/calls"
	fails 1 'the line went dead' detach gone3 --qmp "exec:$VM_DIR/monitor gone3"
	vm_host test -d "$MEMNET_RUNTIME_DIR/gone3"
	kill -KILL "$(cat "$VM_DIR/gone3.pid")"
	vm_wait_gone "$(cat "$VM_DIR/gone3.pid")"
	echo 0 >"$VM_DIR/calls"
	share detach gone3 --qmp "exec:$VM_DIR/monitor gone3"
	vm_host test ! -e "$MEMNET_RUNTIME_DIR/gone3"
}

@test "a run-time folder without room: what fills it is said, and with room it works" {
	local tiny=$VM_DIR/tiny n=0

	mkdir "$tiny"
	vm_host mount -t tmpfs -o nr_inodes=8 tiny "$tiny"
	vm_host sh -c 'n=0; while touch "$1/fill$n" 2>/dev/null; do n=$((n + 1)); done' sh "$tiny"
	until share create t/out --size 1M --no-attach --runtime-dir "$tiny/run" 2>"$tiny.said"; do
		grep -q "no room there (see what fills it: df -i $tiny" "$tiny.said"
		[ "$(wc -l <"$tiny.said")" = 1 ]
		vm_host rm "$tiny/fill$n"
		n=$((n + 1))
	done
	[ "$n" = 5 ] # the folder, the two in it, a lock, the pool's
	[ "$(share list -H --runtime-dir "$tiny/run" | cut -f 1)" = t/out ]
	share destroy t/out --runtime-dir "$tiny/run"
	vm_host umount "$tiny"
	# Bytes it needs none of.
	vm_host mount -t tmpfs -o size=4K tiny "$tiny"
	vm_host sh -c 'head -c 4096 /dev/zero >"$1/full"; ! echo x >"$1/more"' sh "$tiny" 2>/dev/null
	share create t/out --size 1M --no-attach --runtime-dir "$tiny/run"
	share destroy t/out --runtime-dir "$tiny/run"
	vm_host umount "$tiny"
}

@test "a full pool: no folder for one more space, and the message says so" {
	share create web1/out --size 1M
	pool=$(vm_host stat -f -c %c "$MEMNET_RUNTIME_DIR/web1")
	[ "$pool" = 4096 ]
	vm_host unshare --mount mount -o remount,rw,nr_inodes=3 "$MEMNET_RUNTIME_DIR/web1"
	share create web1/two --size 1M
	fails 1 "no room for one more space" create web1/three --size 1M
	vm_host unshare --mount mount -o remount,rw,nr_inodes=4096 "$MEMNET_RUNTIME_DIR/web1"
	share create web1/three --size 1M
}

# Less than the program itself, and the kernel does not start it.
@test "memory exhausted: a clean error, nothing half done, and the next run does it" {
	local least=1200 status

	until vm_host prlimit --as=$((least * 1024)) "$MEMNET" --version >/dev/null 2>&1; do
		least=$((least + 4))
	done 2>/dev/null
	for ((kb = least; kb < least + 200; kb += 4)); do
		for verb in 'create web1/out --size 1M' 'resize web1/out 2M' 'show web1/out' list 'destroy web1/out'; do
			status=0
			# shellcheck disable=SC2086 # words
			vm_host prlimit --as=$((kb * 1024)) "$MEMNET" share $verb >/dev/null 2>"$VM_DIR/said" || status=$?
			[[ $status =~ ^[0146]$ ]] || { echo "$kb KB, $verb: $status; $(cat "$VM_DIR/said")"; return 1; }
		done
	done
	share create web1/out --size 1M
	[ "$(share list -H | wc -l)" = 1 ]
}

@test "many at once on one space: each ends well or says who is at work" {
	for i in 1 2 3 4 5 6 7 8; do
		share create web1/out --size 1M 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	[ "$(share list -H | wc -l)" = 1 ]
	[ "$(vm_host grep -c "$MEMNET_RUNTIME_DIR/web1/out " /proc/self/mountinfo)" = 1 ]
	vm_host flock "$MEMNET_RUNTIME_DIR/.lock/web1" "$MEMNET" share list
	run vm_host flock "$MEMNET_RUNTIME_DIR/.lock/web1" "$MEMNET" share resize web1/out 2M --wait 50ms
	[ "$status" = 5 ]
	[[ $output == *"web1/out: another memnet command is at work"* ]]
}

@test "64 spaces in one VM" {
	for ((i = 0; i < 64; i++)); do
		share create "web1/s$i" --size 64K
	done
	[ "$(share list web1 -H | wc -l)" = 64 ]
	[ "$(devices web1)" = memnet ]
}

@test "what can be deleted in the run-time folder is made anew" {
	share create web1/out --size 1M
	rm -rf "$MEMNET_RUNTIME_DIR/.lock"
	share resize web1/out 2M
	mv "$MEMNET_RUNTIME_DIR/.qmp" "$VM_DIR/qmp"
	[ "$(show web1/out .guest)" = "not running" ]
	share resize web1/out 3M
	fails 4 'no monitor socket' create web1/two --size 1M
	rm -rf "$MEMNET_RUNTIME_DIR/.qmp"
	mv "$VM_DIR/qmp" "$MEMNET_RUNTIME_DIR/.qmp"
	share create web1/two --size 1M
}

@test "QEMU's death leaves the spaces, which can go" {
	qemu dying -machine q35
	share create dying/out --size 1M
	kill -KILL "$(cat "$VM_DIR/dying.pid")"
	until [ "$(show dying/out .guest)" = "not running" ]; do :; done
	fails 4 'nobody listens' create dying/two --size 1M
	share destroy dying/out
	vm_host test ! -e "$MEMNET_RUNTIME_DIR/dying"
}

@test "mount refuses cache modes that lose data" {
	fails 7 'loses written data' mount --cache loose
	fails 7 'loses written data' mount --cache fscache
	fails 2 'want none or mmap' mount --cache always
	[ "$(share mount -n)" = "would mount memnet on /mnt/memnet" ]
	share umount "$VM_DIR"
}
