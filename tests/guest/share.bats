#!/usr/bin/env bats
# shellcheck disable=SC1091,SC2016 # sourced by a variable path; the guest or an inner shell expands
# memnet share with real guests, on q35 and pc: one boot each, and a pair for the migration.

bats_require_minimum_version 1.5.0

load ../until.bash

setup_file()
{
	source "$BATS_TEST_DIRNAME/vm.sh"
	vm_setup
	vm_host_open
	! command -v fio >/dev/null || vm_add_program fio
	export MEMNET_RUNTIME_DIR=$VM_DIR/run
	# shellcheck disable=SC2046 # words are what it prints
	vm_start q35 $(share qemu-args q35)
	# shellcheck disable=SC2046
	VM_MACHINE=pc vm_start pc $(share qemu-args pc --machine pc)
	vm_wait_boot q35
	vm_wait_boot pc
}

teardown_file()
{
	source "$BATS_TEST_DIRNAME/vm.sh"
	vm_teardown
}

setup()
{
	source "$BATS_TEST_DIRNAME/vm.sh"
}

# Each test begins with a mounted pool without spaces, in both guests.
teardown()
{
	for space in $(share list -H | cut -f 1); do
		share destroy --force "$space"
	done
}

share()
{
	vm_host "$MEMNET" share "$@"
}

# fails STATUS WORDS ARG…
fails()
{
	local want=$1 words=$2 got=0 said

	shift 2
	said=$(share "$@" 2>&1 >/dev/null) || got=$?
	if [ "$got" != "$want" ] || [[ $said != *"$words"* ]]; then
		echo "share $*: exit $got, wanted $want; said: $said" >&2
		return 1
	fi
}

show()
{
	share show -j --wait 30s "$1" | jq -r "$2"
}

holds_one()
{
	[ "$(show "$1" .objects)" = 1 ]
}

migrated()
{
	[[ $(monitor mig query-migrate '{}') == *'"completed"'* ]]
}

# has_room VM FOLDER BYTES: what the guest's statfs says a space holds, in blocks of what one 9p
# message carries, rounded down.
has_room()
{
	vm_run "$1" "stat -f -c '%b %s' $2" | awk -v want="$3" '
		{ have = $1 * $2 }
		END { exit !(have <= want && have > want - $2) }'
}

for_each_vm()
{
	for vm in q35 pc; do
		"$@"
	done
}

first_space()
{
	share create "$vm/out" --size 16M
	[ "$(show "$vm/out" .guest)" = ready ] || share attach "$vm"
	vm_run "$vm" 'memnet share mount'
	has_room "$vm" /mnt/memnet/out 16777216
	[ "$(show "$vm/out" .guest)" = mounted ]
	[ "$(show "$vm/out" .migration)" = blocked ]
	vm_run "$vm" 'grep " /mnt/memnet 9p " /proc/mounts' | grep -q 'nosuid,nodev,noexec.*msize=512000'
	vm_run "$vm" 'echo hello >/mnt/memnet/out/x'
	[ "$(vm_host cat "$MEMNET_RUNTIME_DIR/$vm/out/x")" = hello ]
	[ "$(show "$vm/out" .objects)" = 1 ]
	vm_run "$vm" 'memnet share mount' # again
}

@test "a space comes into a running guest, which mounts the pool and writes" {
	for_each_vm first_space
}

mount_at_once()
{
	share create "$vm/out" --size 1M
	vm_run "$vm" 'for i in 1 2 3 4 5 6 7 8 9 10; do
		memnet share umount || exit
		memnet share mount & first=$!
		memnet share mount & second=$!
		memnet share mount && wait $first && wait $second || exit
		[ "$(grep -c " /mnt/memnet 9p " /proc/mounts)" = 1 ] || exit
	done'
	vm_run "$vm" 'mkdir -p /mnt/other; memnet share mount memnet /mnt/other; echo $?' 2>&1 |
		grep -q 'memnet: the device is mounted elsewhere already'
}

@test "mount is safe to run several times at the same moment" {
	for_each_vm mount_at_once
}

later_space()
{
	share create "$vm/a" --size 1M
	share create "$vm/b" --size 2M
	has_room "$vm" /mnt/memnet/a 1048576
	has_room "$vm" /mnt/memnet/b 2097152
	share resize "$vm/a" 3M
	has_room "$vm" /mnt/memnet/a 3145728
	share destroy "$vm/b"
	vm_run "$vm" '! ls /mnt/memnet/b 2>/dev/null'
}

@test "spaces come, change and go beneath the mounted pool" {
	for_each_vm later_space
}

@test "grown while the guest writes: every byte arrives" {
	share create q35/out --size 2M
	vm_run q35 'cd /mnt/memnet/out
		head -c 24000000 /dev/urandom >/tmp/in
		i=0
		while [ $i -lt 24 ]; do
			until dd if=/tmp/in of=part bs=1000000 skip=$i seek=$i count=1 conv=notrunc 2>/dev/null; do usleep 20000; done
			i=$((i + 1))
		done
		sha256sum </tmp/in >/tmp/sum' 3>&- &
	writer=$!
	while kill -0 "$writer" 2>/dev/null; do
		[ "$(show q35/out .size_bytes)" -ge 30000000 ] || share resize q35/out +1M
	done
	wait "$writer"
	[ "$(vm_run q35 'cat /tmp/sum')" = "$(vm_host sha256sum <"/proc/$VM_HOST_PID/root$MEMNET_RUNTIME_DIR/q35/out/part")" ]
}

@test "fio verifies what it writes while the space changes its size" {
	command -v fio >/dev/null || skip "no fio"
	share create q35/out --size 64M
	vm_run q35 'cd /mnt/memnet/out && fio --name=v --directory=. --size=8m --nrfiles=4 --rw=randwrite --bsrange=4k-256k \
		--ioengine=psync --verify=crc32c --verify_fatal=1 --do_verify=1 --loops=3 --fallocate=none >/tmp/fio 2>&1
		echo $? >/tmp/fio-status' 3>&- &
	fio=$!
	while kill -0 "$fio" 2>/dev/null; do
		share resize q35/out 128M
		share resize q35/out 24M
	done
	wait "$fio"
	[ "$(vm_run q35 'cat /tmp/fio-status')" = 0 ] || { vm_run q35 'cat /tmp/fio' >&2; return 1; }
}

@test "never shrunk below what the guest has written" {
	share create q35/out --size 8M
	vm_run q35 'head -c 5000000 /dev/zero >/mnt/memnet/out/x'
	fails 7 'are in use' resize q35/out 4M
	share resize q35/out 6M
	vm_run q35 '! head -c 3000000 /dev/zero >/mnt/memnet/out/y' # ENOSPC
	[ "$(vm_host stat -c %s "$MEMNET_RUNTIME_DIR/q35/out/x")" = 5000000 ]
}

@test "not destroyed while the guest has an object, or has one open" {
	share create q35/out --size 1M
	vm_run q35 'echo x >/mnt/memnet/out/x'
	fails 7 'it still holds objects, such as x' destroy q35/out
	vm_run q35 'rm /mnt/memnet/out/x; (exec 3>/mnt/memnet/out/.memnet/part/p; touch /tmp/open; until [ -e /tmp/close ]; do usleep 10000; done) >/dev/null 2>&1 &
		until [ -e /tmp/open ]; do usleep 10000; done'
	fails 5 'open, by qemu-system' destroy q35/out
	vm_run q35 'echo still writable >/mnt/memnet/out/y; rm /mnt/memnet/out/y; touch /tmp/close'
	until_true share destroy q35/out
}

@test "destroyed by force under a writer: its writes fail, the guest lives on" {
	share create q35/out --size 4M
	vm_run q35 '(while dd if=/dev/zero of=/mnt/memnet/out/x bs=64k count=8 2>/dev/null; do :; done; touch /tmp/ended) >/dev/null 2>&1 &'
	until_true holds_one q35/out
	share destroy --force q35/out
	vm_run q35 'until [ -e /tmp/ended ]; do usleep 10000; done'
	share create q35/out --size 4M
	vm_run q35 'echo new >/mnt/memnet/out/x'
}

@test "the pool itself, links, setuid files and devices of a guest do the host no harm" {
	share create q35/out --size 8M
	vm_run q35 'cd /mnt/memnet
		! touch x 2>/dev/null && ! mkdir d 2>/dev/null && ! rmdir out 2>/dev/null || exit 1
		cd out && ln -s /etc/passwd link && mknod dev c 1 3 && cp /bin/busybox suid && chmod 4777 suid
		[ -L link ] && [ -c dev ] && [ -u suid ]'
	[ -z "$(vm_host find "$MEMNET_RUNTIME_DIR/q35/out" ! -type f ! -type d)" ]
	[ -z "$(vm_host find "$MEMNET_RUNTIME_DIR/q35/out" -type f -perm /7077)" ]
}

detach_and_back()
{
	share create "$vm/out" --size 1M
	vm_run "$vm" 'echo kept >/mnt/memnet/out/x'
	until_true fails 5 'the guest has it mounted' detach "$vm" --wait 300ms
	vm_run "$vm" 'memnet share umount; memnet share umount'
	# In mountinfo a blank is \040.
	vm_run "$vm" 'for i in 1 2; do memnet share mount memnet "/mnt/a b" || exit; done; cat "/mnt/a b/out/x"; memnet share umount "/mnt/a b"'
	share detach "$vm"
	share detach "$vm"
	[ "$(show "$vm/out" .guest)" = detached ]
	[ "$(show "$vm/out" .migration)" = free ]
	# The guest waits for the device.
	vm_run "$vm" 'memnet share mount --wait 60s' 3>&- &
	share attach "$vm"
	share attach "$vm"
	wait $!
	[ "$(vm_run "$vm" 'cat /mnt/memnet/out/x')" = kept ]
}

@test "detach is refused while mounted, waits for the guest, and attach brings all back" {
	for_each_vm detach_and_back
}

@test "a mount that waits in vain says what to do" {
	run vm_run q35 'memnet share mount nosuch /mnt/x --wait 300ms 2>&1'
	[ "$status" = 6 ]
	[[ $output == *"no device with this tag came (on the host: memnet share attach VM)"* ]]
	run vm_run q35 'memnet share mount memnet /mnt/other 2>&1'
	[ "$status" = 5 ]
	[[ $output == *"mounted elsewhere already"* ]]
	run vm_run q35 'memnet share mount --cache loose 2>&1'
	[ "$status" = 7 ]
	run vm_run q35 'cd /mnt/memnet; memnet share umount 2>&1'
	[ "$status" = 5 ]
}

@test "a guest without the driver is told from one that sees nothing" {
	vm_run pc 'memnet share umount'
	share detach pc
	vm_run pc 'rmmod 9pnet_virtio'
	# Again, where the guest had no time to see the device within it.
	until_true fails 6 'modprobe 9pnet_virtio' attach pc --wait 2s
	run share check pc
	[ "$status" = 1 ]
	[[ $output == *"BAD     guest            it has no driver (in the guest: modprobe 9pnet_virtio)"* ]]
	vm_run pc 'insmod /lib/modules/9pnet_virtio.ko'
	share attach pc
	vm_run pc 'memnet share mount'
	share check pc
}

# busybox's modprobe wants an index that the guest has not: one that knows where the modules are takes its place.
@test "mount loads the modules that are missing" {
	vm_run pc 'set -e
		memnet share umount
		rmmod 9p; rmmod 9pnet_virtio
		rm /bin/modprobe
		printf "#!/bin/sh\necho \$2 >>/tmp/loaded\ninsmod /lib/modules/\$2.ko\n" >/bin/modprobe
		chmod 755 /bin/modprobe
		memnet share mount
		grep -q " /mnt/memnet 9p " /proc/mounts
		[ "$(tr "\n" " " </tmp/loaded)" = "9pnet_virtio 9p " ]'
}

many_spaces()
{
	for ((i = 0; i < 64; i++)); do
		share create "$vm/s$i" --size 64K
	done
	vm_run "$vm" 'for d in /mnt/memnet/s*; do echo "$d" >"$d/x" || exit; done'
	[ "$(share list "$vm" -j | jq '[.spaces[].objects] | add')" = 64 ]
	[ "$(vm_host cat "$MEMNET_RUNTIME_DIR/$vm/s63/x")" = /mnt/memnet/s63 ]
}

@test "64 spaces in each VM, each with an object of the guest's" {
	for_each_vm many_spaces
	[ "$(share list -H | wc -l)" = 128 ]
}

@test "a guest's reboot: the device and the spaces are there again" {
	share create q35/out --size 1M
	vm_run q35 'echo kept >/mnt/memnet/out/x'
	vm_reboot q35
	vm_run q35 'memnet share mount'
	[ "$(vm_run q35 'cat /mnt/memnet/out/x')" = kept ]
	share create q35/two --size 1M
	vm_run q35 'echo y >/mnt/memnet/two/y'
}

@test "a VM's sudden death: its spaces stay, and serve the next" {
	share create pc/out --size 1M
	vm_run pc 'echo kept >/mnt/memnet/out/x'
	vm_kill pc
	[ "$(show pc/out .guest)" = "not running" ]
	fails 4 'nobody listens' attach pc
	# shellcheck disable=SC2046
	VM_MACHINE=pc vm_start pc $(share qemu-args pc --machine pc)
	vm_wait_boot pc
	share attach pc
	vm_run pc 'memnet share mount'
	[ "$(vm_run pc 'cat /mnt/memnet/out/x')" = kept ]
}

@test "a live migration: detach, migrate, attach" {
	# shellcheck disable=SC2207
	args=($(share qemu-args mig))
	vm_start mig "${args[@]}"
	vm_wait_boot mig
	share create mig/out --size 1M
	vm_run mig 'memnet share mount; echo before >/mnt/memnet/out/x; (sleep 1000) & echo $! >/tmp/pid'
	vm_start mig2 "${args[@]/mig.sock/mig2.sock}" -incoming "unix:$VM_DIR/mig.in"
	until_true test -S "$VM_DIR/mig.in"
	[[ $(monitor mig migrate "{\"uri\":\"unix:$VM_DIR/mig.in\"}") == *"mount_tag 'memnet'"* ]]
	vm_run mig 'memnet share umount'
	share detach mig
	[ "$(show mig/out .migration)" = free ]
	monitor mig migrate "{\"uri\":\"unix:$VM_DIR/mig.in\"}"
	until_true migrated
	vm_kill mig
	until_true share attach mig --qmp "$MEMNET_RUNTIME_DIR/.qmp/mig2.sock"
	vm_run mig2 'memnet share mount; kill -0 "$(cat /tmp/pid)"; echo after >>/mnt/memnet/out/x'
	[ "$(vm_host cat "$MEMNET_RUNTIME_DIR/mig/out/x")" = $'before\nafter' ]
	vm_kill mig2
}

@test "a QEMU under a user of its own: the guest writes, and all of it is that user's" {
	[ "$(id -u)" = 0 ] || skip "not root"
	chmod o+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/file" "$VM_DIR"
	# shellcheck disable=SC2046
	vm_start user $(share qemu-args user) $(vm_run_as nobody)
	vm_wait_boot user
	share create user/out --size 4M
	share attach user
	vm_run user 'memnet share mount && cd /mnt/memnet/out && echo x >x && mkdir d && echo y >d/y && chown 5:6 x &&
		mv x d/x && [ "$(stat -c %u:%g d/x)" = 5:6 ]'
	[ "$(vm_host find "$MEMNET_RUNTIME_DIR/user/out" -printf '%U\n' | sort -u)" = "$(id -u nobody)" ]
	fails 7 'such as d/' destroy user/out
	vm_run user 'rm -r /mnt/memnet/out/d'
	share destroy user/out
	vm_kill user
}

# A group of the kernel's memory controller, of version 1 or 2, with a limit in bytes.
limited_group()
{
	local bytes=$1 group

	for group in /sys/fs/cgroup/memory /sys/fs/cgroup; do
		group=$group/memnet-test-$$
		mkdir "$group" 2>/dev/null || continue
		if echo "$bytes" 2>/dev/null >"$group/memory.limit_in_bytes" || { echo "$bytes" >"$group/memory.max"; } 2>/dev/null; then
			! [ -e "$group/memory.swap.max" ] || echo 0 >"$group/memory.swap.max"
			echo "$group"
			return 0
		fi
		rmdir "$group"
	done
	return 1
}

@test "memory exhausted: the kernel kills a QEMU over its limit, which check foretold; the space stays" {
	group=$(limited_group 100M) || skip "no memory cgroup that may be made here"
	vm_start_memnet limit
	vm_wait_boot limit
	share create limit/out --size 16M
	share attach limit
	vm_run limit 'memnet share mount; echo kept >/mnt/memnet/out/kept'
	vm_pid limit >"$group/cgroup.procs"
	share check limit -H | grep -q $'^note\tmemory limit\tQEMU\'s cgroup may use 100M'
	share resize limit/out 512M
	share check limit -H | grep -q $'^BAD\tmemory limit\t'
	run -125 vm_run limit 'dd if=/dev/zero of=/mnt/memnet/out/x bs=1M count=300'
	run ! vm_alive limit
	until_true rmdir "$group"
	[ "$(show limit/out .guest)" = "not running" ]
	fails 4 'nobody listens' create limit/two --size 1M
	vm_host rm "$MEMNET_RUNTIME_DIR/limit/out/x"
	vm_start_memnet limit
	vm_wait_boot limit
	share attach limit
	[ "$(vm_run limit 'memnet share mount; cat /mnt/memnet/out/kept')" = kept ]
	vm_kill limit
}

# monitor VM COMMAND ARGUMENTS: what QEMU answers, behind memnet's back
monitor()
{
	printf '%s\n' '{"execute":"qmp_capabilities"}' "{\"execute\":\"$2\",\"arguments\":$3,\"id\":1}" |
		socat -t 30 - UNIX-CONNECT:"$MEMNET_RUNTIME_DIR/.qmp/$1.sock" | grep '"id": 1'
}

@test "create --mount has the guest agent mount the pool" {
	agent=$(command -v qemu-ga) || skip "no qemu-ga (Debian package qemu-guest-agent)"
	vm_add_program "$agent"
	# shellcheck disable=SC2046
	vm_start ga $(share qemu-args ga) -chardev "socket,id=qga,path=$VM_DIR/ga.sock,server=on,wait=off" \
		-device virtio-serial-pci,id=agent -device virtserialport,bus=agent.0,chardev=qga,name=org.qemu.guest_agent.0
	vm_wait_boot ga
	until_true fails 6 'start qemu-guest-agent' create ga/out --size 1M --qga "$VM_DIR/ga.sock" --mount /mnt/pool --wait 2s
	vm_run ga 'mkdir -p /var/run; qemu-ga -m virtio-serial -p "$(for p in /sys/class/virtio-ports/*; do
		[ "$(cat $p/name)" != org.qemu.guest_agent.0 ] || echo /dev/${p##*/}; done)" >/tmp/ga.log 2>&1 &'
	share create ga/out --size 1M --qga "$VM_DIR/ga.sock" --mount /mnt/pool --wait 120s
	vm_run ga 'echo x >/mnt/pool/out/x; grep " /mnt/pool 9p .*msize=512000" /proc/mounts'
	share create ga/out --size 1M --qga "$VM_DIR/ga.sock" --mount /mnt//pool/
	fails 5 'mounted on /mnt/pool already' create ga/out --size 1M --qga "$VM_DIR/ga.sock" --mount /mnt/other
	share check ga --qga "$VM_DIR/ga.sock" | grep -q '^OK *mount  *.*/mnt/pool .*msize=512000'
	vm_run ga 'umount /mnt/pool; mount -t 9p -o trans=virtio,cache=loose memnet /mnt/pool'
	run share check ga --qga "$VM_DIR/ga.sock"
	[ "$status" = 1 ]
	[[ $output == *"BAD     mount            /mnt/pool: this cache mode loses data"* ]]
	vm_stop ga
}
